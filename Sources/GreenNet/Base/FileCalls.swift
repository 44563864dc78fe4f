import Glibc

/// Calls for files by their paths; each blocks for as long as the file system takes.
extension SystemCalls {
    /// Closed on exec.  Never waits for another process, as the open of a pipe would.
    static func openFile(_ path: String, _ flags: Int32, mode: mode_t = 0) -> Int {
        retrying { Int(Glibc.open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, mode)) }
    }

    /// Nil where it has no status, with the reason.
    static func status(_ descriptor: Int32) -> (status: stat, result: Int) {
        var status = stat()
        let result = retrying { Int(Glibc.fstat(descriptor, &status)) }
        return (status, result)
    }

    /// -ESPIPE for a pipe, a socket or a terminal.
    static func position(_ descriptor: Int32) -> Int { retrying { Glibc.lseek(descriptor, 0, SEEK_CUR) } }

    static func synchronize(_ descriptor: Int32) -> Int { retrying { Int(Glibc.fsync(descriptor)) } }

    static func rename(_ path: String, to other: String) -> Int { retrying { Int(Glibc.rename(path, other)) } }

    static func setOwner(_ descriptor: Int32, _ owner: uid_t, _ group: gid_t) -> Int {
        retrying { Int(Glibc.fchown(descriptor, owner, group)) }
    }

    /// Where a path leads to, without symbolic links; nil where there is nothing.
    static func resolved(_ path: String) -> String? {
        guard let resolved = Glibc.realpath(path, nil) else { return nil }
        defer { Glibc.free(resolved) }
        return String(cString: resolved)
    }

    /// -EWOULDBLOCK where another open file has the lock.
    static func tryLock(_ descriptor: Int32) -> Int { retrying { Int(flock(descriptor, LOCK_EX | LOCK_NB)) } }

    /// Whether `path` leads to the file that is open as `descriptor`.
    static func leads(_ path: String, to descriptor: Int32) -> Bool {
        var (there, open) = (stat(), stat())
        guard stat(path, &there) == 0, Glibc.fstat(descriptor, &open) == 0 else { return false }
        return there.st_dev == open.st_dev && there.st_ino == open.st_ino
    }
}
