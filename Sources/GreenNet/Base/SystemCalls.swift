import Glibc

/// The socket calls, each as one system call: the count or descriptor, or errno as a negative number, as the kernel itself answers.
///
/// The one place that reads `errno`, right after the call that set it: a later reader might find that of another green thread.
/// A call that a signal interrupted is made again.
enum SystemCalls {
    @inline(__always)
    static func retrying(_ call: () -> Int) -> Int {
        while true {
            let result = call()
            if result >= 0 { return result }
            let number = errno
            if number != EINTR { return -Int(number) }
        }
    }

    // MARK: For each message

    @inline(__always)
    static func receive(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        retrying { Glibc.recv(descriptor, buffer.baseAddress, buffer.count, 0) }
    }

    /// A peer that is gone is an error here, never SIGPIPE.
    @inline(__always)
    static func send(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        retrying { Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL)) }
    }

    /// Several pieces in one call.
    static func send(_ descriptor: Int32, gathering pieces: UnsafeMutableBufferPointer<iovec>) -> Int {
        var message = msghdr()
        (message.msg_iov, message.msg_iovlen) = (pieces.baseAddress, pieces.count)
        return retrying { Glibc.sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL)) }
    }

    // MARK: For each connection

    /// Closed on exec.
    static func accept(
        _ descriptor: Int32, from storage: UnsafeMutablePointer<KernelAddress>, blocking: Bool
    ) -> Int {
        let result = retrying {
            storage.pointee.length = KernelAddress.capacity
            return Int(LinuxCalls.accept(descriptor, storage.address, &storage.pointee.length, blocking: blocking))
        }
        // Accepted unix sockets don't inherit this option.
        if result >= 0, storage.pointee.isUnix { _ = keepUrgentByteInStream(Int32(result)) }
        return result
    }

    static func shutdownSending(_ descriptor: Int32) -> Int {
        retrying { Int(Glibc.shutdown(descriptor, Int32(SHUT_WR))) }
    }

    static func shutdown(_ descriptor: Int32) { _ = Glibc.shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// Sent over TCP, and not at the other side yet; of a unix socket, the memory that holds what the other side has not read.  After a reset it
    /// stays as it was.
    static func unacknowledgedBytes(_ descriptor: Int32) -> Int {
        var count: Int32 = 0
        let result = retrying { Int(Glibc.ioctl(descriptor, UInt(TIOCOUTQ), &count)) }
        return result < 0 ? result : Int(count)
    }

    /// Not made again after a signal: Linux has let go of the number by then.
    static func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }

    /// As `close`; returns 0 or -errno.  A signal is no error: what was written is on its way.
    static func closeReporting(_ descriptor: Int32) -> Int {
        if Glibc.close(descriptor) == 0 { return 0 }
        let number = errno
        return number == EINTR ? 0 : -Int(number)
    }

    /// Waits with all signals let through, and only then; nil where one came.  Returns which of `descriptors` are readable: where the kernel
    /// refuses, all of them, and the read reports why.
    static func waitReadableUnlessSignalled(_ descriptors: [Int32]) -> [Bool]? {
        var none = sigset_t()
        sigemptyset(&none)
        var wanted = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        let count = LinuxCalls.wait(&wanted, mask: &none)
        if count < 0, errno == EINTR { return nil }
        return wanted.map { count < 0 || $0.revents != 0 }
    }

    /// Nil for a unix socket, of which the kernel does not report it.
    static func queuedConnections(_ listener: Int32) -> Int? {
        var info = tcp_info()
        var length = socklen_t(MemoryLayout<tcp_info>.size)
        let result = retrying { Int(Glibc.getsockopt(listener, Int32(IPPROTO_TCP), TCP_INFO, &info, &length)) }
        // Of a listening socket it is the queue's length.
        return result < 0 ? nil : Int(info.tcpi_unacked)
    }

    /// Blocks the OS thread with all signals let through; one of them ends it early.
    static func sleepUnlessSignalled(_ length: Duration) {
        var none = sigset_t()
        sigemptyset(&none)
        var time = timespec(length)
        pselect(0, nil, nil, nil, &time, &none)
    }

    /// Which file a path leads to.
    struct FileIdentity: Equatable {
        private let device: dev_t
        private let number: ino_t

        /// Nil where there is none.
        init?(of path: String) {
            var status = stat()
            guard Glibc.lstat(path, &status) == 0 else { return nil }
            (device, number) = (status.st_dev, status.st_ino)
        }
    }

    /// Lets `signals` through to this OS thread.
    static func unblock(_ signals: [Int32]) {
        var set = sigset_t()
        sigemptyset(&set)
        for number in signals { sigaddset(&set, number) }
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
    }

    /// Blocks the OS thread; a signal ends it early.
    static func sleep(_ length: Duration) {
        var time = timespec(length)
        nanosleep(&time, nil)
    }

    // MARK: The path of a unix socket

    /// For looking at what is there, not for reading; a symbolic link is not followed.
    static func openPath(_ path: String) -> Int {
        // O_PATH, which Swift's view of glibc leaves out.
        let pathOnly: Int32 = 0o10000000
        return retrying { Int(Glibc.open(path, pathOnly | O_NOFOLLOW | O_CLOEXEC)) }
    }

    /// 0 where this process may make and remove files there, by its effective user.
    static func mayMakeFiles(in directory: String) -> Int {
        // With a dot behind: a file is no directory, even for root.
        retrying { Int(Glibc.faccessat(AT_FDCWD, directory + "/.", W_OK | X_OK, AT_EACCESS)) }
    }

    static func setMode(_ descriptor: Int32, _ mode: mode_t) -> Int { retrying { Int(Glibc.fchmod(descriptor, mode)) } }

    /// Of what `openPath` has opened, for which the kernel has no call with a descriptor alone.
    static func setMode(ofPath descriptor: Int32, _ mode: mode_t) -> Int {
        retrying { Int(Glibc.chmod("/proc/self/fd/\(descriptor)", mode)) }
    }

    /// Nil leaves one as it is.
    static func setOwner(ofPath descriptor: Int32, _ owner: uid_t?, _ group: gid_t?) -> Int {
        retrying { Int(Glibc.chown("/proc/self/fd/\(descriptor)", owner ?? .max, group ?? .max)) }
    }

    // MARK: Setting up

    static func socket(family: Int32) -> Int {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        return retrying { Int(Glibc.socket(family, kind, 0)) }
    }

    /// One that blocks, closed on exec.
    static func datagramSocket(family: Int32) -> Int {
        retrying { Int(Glibc.socket(family, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)) }
    }

    /// A whole datagram, or nothing of it.
    static func send(
        _ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, to storage: inout KernelAddress
    ) -> Int {
        let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
        return withUnsafeMutablePointer(to: &storage) { storage in
            retrying {
                Glibc.sendto(
                    descriptor, bytes.baseAddress, bytes.count, flags, storage.address, storage.pointee.length)
            }
        }
    }

    static func bind(_ descriptor: Int32, to storage: inout KernelAddress) -> Int {
        withUnsafeMutablePointer(to: &storage) { storage in
            retrying { Int(Glibc.bind(descriptor, storage.address, storage.pointee.length)) }
        }
    }

    /// Interrupted by a signal, a connect goes on by itself: it is not made again, and counts as under way.
    static func connect(_ descriptor: Int32, to storage: inout KernelAddress) -> Int {
        withUnsafeMutablePointer(to: &storage) { storage in
            guard Glibc.connect(descriptor, storage.address, storage.pointee.length) < 0 else { return 0 }
            let number = errno
            return number == EINTR ? -Int(EINPROGRESS) : -Int(number)
        }
    }

    static func listen(_ descriptor: Int32, backlog: Int32) -> Int {
        retrying { Int(Glibc.listen(descriptor, backlog)) }
    }

    static func localAddress(_ descriptor: Int32, into storage: inout KernelAddress) -> Int {
        withUnsafeMutablePointer(to: &storage) { storage in
            retrying { Int(Glibc.getsockname(descriptor, storage.address, &storage.pointee.length)) }
        }
    }

    static func peerAddress(_ descriptor: Int32, into storage: inout KernelAddress) -> Int {
        withUnsafeMutablePointer(to: &storage) { storage in
            retrying { Int(Glibc.getpeername(descriptor, storage.address, &storage.pointee.length)) }
        }
    }

    /// An option's value, of those that are numbers and never negative.
    static func option(_ descriptor: Int32, level: Int32, _ name: Int32) -> Int {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        let result = retrying { Int(Glibc.getsockopt(descriptor, level, name, &value, &length)) }
        return result < 0 ? result : Int(value)
    }

    static func setOption(_ descriptor: Int32, level: Int32, _ name: Int32, to value: Int32) -> Int {
        retrying {
            withUnsafePointer(to: value) { value in
                Int(Glibc.setsockopt(descriptor, level, name, value, socklen_t(MemoryLayout<Int32>.size)))
            }
        }
    }

    /// Without this, a byte that was sent with MSG_OOB is no part of what is received, and is lost to a program that does not ask for it.
    /// Accepted TCP sockets inherit it from their listener.
    static func keepUrgentByteInStream(_ descriptor: Int32) -> Int {
        setOption(descriptor, level: SOL_SOCKET, SO_OOBINLINE, to: 1)
    }

    /// Whether the next byte to receive was sent as urgent data.
    static func isAtUrgentByte(_ descriptor: Int32) -> Bool { retrying { Int(Glibc.sockatmark(descriptor)) } == 1 }

    /// Limits what a blocking call may take, in steps of a microsecond; 0 for ever.
    static func setTimeLimit(_ descriptor: Int32, _ option: Int32, nanoseconds: Int64) -> Int {
        let microseconds = (nanoseconds + 999) / 1000
        let limit = timeval(tv_sec: time_t(microseconds / 1_000_000), tv_usec: suseconds_t(microseconds % 1_000_000))
        return retrying {
            withUnsafePointer(to: limit) { limit in
                Int(Glibc.setsockopt(descriptor, SOL_SOCKET, option, limit, socklen_t(MemoryLayout<timeval>.size)))
            }
        }
    }

    /// Whether it accepts connections.
    static func isListening(_ descriptor: Int32) -> Bool {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return Glibc.getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value != 0
    }

    /// The type that has such a socket.
    static func kindOfSocket(_ descriptor: Int32) -> String {
        if isListening(descriptor) { return "Listener" }
        return option(descriptor, level: SOL_SOCKET, SO_TYPE) == Int(SOCK_DGRAM.rawValue) ? "Datagram" : "Connection"
    }

    /// How an asynchronous connect has ended: 0 or errno.
    static func pendingError(_ descriptor: Int32) -> Int32 {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        let result = retrying { Int(Glibc.getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &value, &length)) }
        return result < 0 ? Int32(-result) : value
    }

    /// In all processes that hold the same socket.
    static func setBlocking(_ descriptor: Int32, _ blocks: Bool) -> Int {
        let flags = retrying { Int(Glibc.fcntl(descriptor, F_GETFL)) }
        if flags < 0 { return flags }
        let wanted = blocks ? Int32(flags) & ~O_NONBLOCK : Int32(flags) | O_NONBLOCK
        return retrying { Int(Glibc.fcntl(descriptor, F_SETFL, wanted)) }
    }

    static func closeOnExec(_ descriptor: Int32) -> Int {
        retrying { Int(Glibc.fcntl(descriptor, F_SETFD, FD_CLOEXEC)) }
    }

    static func timer() -> Int { retrying { Int(LinuxCalls.timer()) } }

    /// Readable from `moment` on, in nanoseconds of the monotonic clock.
    static func setTimer(_ descriptor: Int32, to moment: Int64) { _ = LinuxCalls.setTimer(descriptor, moment) }

    static func duplicate(_ descriptor: Int32) -> Int { retrying { Int(Glibc.fcntl(descriptor, F_DUPFD_CLOEXEC, 3)) } }

    static func fork() -> Int { retrying { Int(Glibc.fork()) } }

    static func unlink(_ path: String) -> Int { retrying { Int(Glibc.unlink(path)) } }

    /// `S_IFSOCK`, `S_IFDIR` and so on, of a link its own; 0 where there is none.
    static func kind(ofFileAt path: String) -> mode_t {
        var status = stat()
        return Glibc.lstat(path, &status) == 0 ? status.st_mode & S_IFMT : 0
    }

    // MARK: Descriptors that others use too

    /// 1 where a read (or write) would return at once, with an error perhaps, and 0 where it would block.
    static func poll(_ descriptor: Int32, for direction: Direction) -> Int {
        let events = Int16(direction == .readable ? POLLIN : POLLOUT)
        var question = pollfd(fd: descriptor, events: events, revents: 0)
        let result = retrying { Int(Glibc.poll(&question, 1, 0)) }
        return question.revents & Int16(POLLNVAL) == 0 ? result : -Int(EBADF)
    }

    static func read(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        retrying { Glibc.read(descriptor, buffer.baseAddress, buffer.count) }
    }

    /// To a pipe without a reader, it raises SIGPIPE before it returns EPIPE.
    static func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        retrying { Glibc.write(descriptor, bytes.baseAddress, bytes.count) }
    }

    /// What a close would say, for there are file systems that report a full disk only then.  `descriptor` stays open.
    static func closeCopy(of descriptor: Int32) -> Int {
        let copy = retrying { Int(Glibc.fcntl(descriptor, F_DUPFD_CLOEXEC, 0)) }
        guard copy >= 0, Glibc.close(Int32(copy)) < 0 else { return min(copy, 0) }
        return -Int(errno)
    }

    // MARK: Without ever waiting

    /// -EOPNOTSUPP where the kernel can't find out whether it would wait: files, terminals, and before Linux 6.4 pipes.
    static func writeNow(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        retrying { LinuxCalls.writeNow(descriptor, bytes) }
    }

    static func sendNow(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
        return retrying { Glibc.send(descriptor, bytes.baseAddress, bytes.count, flags) }
    }

    /// The open file behind `descriptor` once more, non-blocking: a terminal or a pipe, for others can't be opened so.
    static func openAgainForWriting(_ descriptor: Int32) -> Int {
        retrying { Int(Glibc.open("/proc/self/fd/\(descriptor)", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) }
    }

    /// `S_IFREG`, `S_IFIFO` and so on; 0 where it is not open.
    static func kind(of descriptor: Int32) -> mode_t {
        var status = stat()
        return Glibc.fstat(descriptor, &status) == 0 ? status.st_mode & S_IFMT : 0
    }

    /// In one datagram with nothing else; `file` stays open here.
    static func sendNow(_ descriptor: Int32, file: Int32, to storage: inout KernelAddress) -> Int {
        withUnsafeMutablePointer(to: &storage) { storage in
            retrying { LinuxCalls.sendFile(file, from: descriptor, to: storage.address, storage.pointee.length) }
        }
    }

    static func sealedFile(_ bytes: UnsafeRawBufferPointer) -> Int { retrying { Int(LinuxCalls.sealedFile(bytes)) } }

    // MARK: Child processes

    /// Two ends, closed on exec; this process's own does not block.
    static func socketPair() throws(SystemError) -> (own: Int32, child: Int32) {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let result = retrying { Int(Glibc.socketpair(AF_UNIX, kind, 0, &ends)) }
        if result < 0 { throw SystemError(Int32(-result)) }
        _ = Glibc.fcntl(ends[0], F_SETFL, O_NONBLOCK)
        return (ends[0], ends[1])
    }

    /// Both ends are closed on exec.
    static func pipe() throws(SystemError) -> (reading: Int32, writing: Int32) {
        var ends: [Int32] = [-1, -1]
        let result = retrying { Int(LinuxCalls.pipe(&ends)) }
        if result < 0 { throw SystemError(Int32(-result)) }
        return (ends[0], ends[1])
    }

    static func openNull() -> Int { retrying { Int(Glibc.open("/dev/null", O_RDWR | O_CLOEXEC)) } }

    /// A descriptor that is readable once the child has ended.
    static func processHandle(_ pid: pid_t) -> Int { retrying { Int(LinuxCalls.processHandle(pid)) } }

    static func signal(_ pid: pid_t, _ number: Int32) { _ = Glibc.kill(pid, number) }
    static func signalGroup(_ group: pid_t, _ number: Int32) { _ = Glibc.kill(-group, number) }

    /// A child that has ended, and its status; nil where there is none.  Never waits.
    static func collectAnyChild() -> (pid_t, Int32)? {
        var status: Int32 = 0
        let pid = retrying { Int(Glibc.waitpid(-1, &status, WNOHANG)) }
        return pid > 0 ? (pid_t(pid), status) : nil
    }

    /// The status of a child that has ended; nil where another caller has collected it.
    static func collectChild(_ pid: pid_t) -> Int32? {
        var status: Int32 = 0
        return retrying { Int(Glibc.waitpid(pid, &status, 0)) } == Int(pid) ? status : nil
    }
}

extension timespec {
    fileprivate init(_ length: Duration) {
        self.init(tv_sec: time_t(length.nanoseconds / 1_000_000_000), tv_nsec: Int(length.nanoseconds % 1_000_000_000))
    }
}
