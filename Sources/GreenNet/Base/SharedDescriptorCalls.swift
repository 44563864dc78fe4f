import Glibc

/// Calls for descriptors that are shared with other processes, such as standard input: they neither block nor change the descriptor.
extension SystemCalls {
    /// -EOPNOTSUPP where the kernel can't find out whether it would wait: terminals, and before Linux 6.4 pipes.
    static func readNow(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        retrying { LinuxCalls.readNow(descriptor, into: buffer) }
    }

    static func receiveNow(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        retrying { Glibc.recv(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT)) }
    }

    /// Reads what a file's next read would, and throws it away: that read does not wait for the disk then.  The file's position stays.
    static func prefetch(_ descriptor: Int32, _ count: Int) {
        withUnsafeTemporaryAllocation(byteCount: count, alignment: 16) { buffer in
            _ = Glibc.pread(descriptor, buffer.baseAddress, count, Glibc.lseek(descriptor, 0, SEEK_CUR))
        }
    }

    /// Puts /dev/null in the place of `descriptor`, opened the wrong way round: what it was is closed, its number is not given away again, and calls
    /// fail with EBADF.
    static func replaceByNull(_ descriptor: Int32, _ direction: Direction) -> Int {
        let mode = direction == .readable ? O_WRONLY : O_RDONLY
        let null = retrying { Int(Glibc.open("/dev/null", mode | O_CLOEXEC)) }
        if null < 0 { return null }
        defer { close(Int32(null)) }
        return retrying { Int(Glibc.dup2(Int32(null), descriptor)) }
    }

    // MARK: Terminals

    static func isTerminal(_ descriptor: Int32) -> Bool { Glibc.isatty(descriptor) == 1 }

    /// Whether `descriptor` is this process's terminal and another process group has it now.
    static func isInBackground(of descriptor: Int32) -> Bool {
        // The other side of a terminal that is this process's own work has a foreground too, in another session or none.
        let foreground = Glibc.tcgetpgrp(descriptor)
        return foreground > 0 && foreground != getpgrp() && Glibc.tcgetsid(descriptor) == getsid(0)
    }

    /// Whether a process in the background may not write to the terminal: `stty tostop`.
    static func stopsWriters(_ descriptor: Int32) -> Bool {
        var settings = termios()
        return Glibc.tcgetattr(descriptor, &settings) == 0 && settings.c_lflag & tcflag_t(TOSTOP) != 0
    }

    /// A call that the kernel would answer with SIGTTIN or SIGTTOU, which stop the process, fails with EIO.
    static func withoutBeingStopped(_ call: () -> Int) -> Int {
        var (signals, before) = (sigset_t(), sigset_t())
        sigemptyset(&signals)
        sigaddset(&signals, SIGTTIN)
        sigaddset(&signals, SIGTTOU)
        pthread_sigmask(SIG_BLOCK, &signals, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        return call()
    }
}
