import Glibc

/// A file that could not be read, written or locked: which call, on which path, and why.
public struct FileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The system call that failed, under the name that strace shows.
    public enum Call: String, Sendable {
        /// The system call of that name.
        case open, fstat, lseek, read, write, fsync, fchmod, flock, rename, close
    }

    /// The call that failed.
    public let call: Call
    /// The path as it was given.
    public let path: String
    /// Why.
    public let errno: SystemError
    /// How many bytes had been written by then, of those that were to be written.
    public let written: Int

    init(_ call: Call, _ path: String, result: Int, written: Int = 0) {
        (self.call, self.path, self.written) = (call, path, written)
        errno = SystemError(Int32(-result))
    }

    /// As in `cannot open /etc/shadow: permission denied (EACCES)`.
    public var description: String { "cannot \(deed) \(path.escaped): \(errno)" }

    private var deed: String {
        switch call {
        case .open: "open"
        case .fstat: "read the status of"
        case .lseek, .read: "read"
        case .write: "write to"
        case .fsync: "bring to the disk"
        case .fchmod: "set the mode of"
        case .flock: "lock"
        case .rename: "replace"
        case .close: "close"
        }
    }
}

/// A file that has more bytes than its reader takes.
public struct FileTooLong: Error, Hashable, Sendable, CustomStringConvertible {
    /// The path as it was given.
    public let path: String
    /// How many bytes it may have.
    public let limit: Int

    /// As in `/var/log/syslog is longer than 67108864 bytes`.
    public var description: String { "\(path.escaped) is longer than \(limit) bytes" }
}

/// Opens a file on an OS thread of `Hub.offload`, and closes it behind `body`.
///
/// The error of a close is thrown where the file was written and `body` has thrown none: there are file systems that report a full disk only then.
func withFile<Value>(
    _ path: String, _ flags: Int32, mode: mode_t = 0o666, _ body: (Int32) throws -> Value
) throws -> Value {
    // To the kernel, the path would end there.
    if path.utf8.contains(0) { throw FileError(.open, path, result: -Int(EINVAL)) }
    let descriptor = SystemCalls.openFile(path, flags, mode: mode)
    if descriptor < 0 { throw FileError(.open, path, result: descriptor) }
    let outcome = Result { try body(Int32(descriptor)) }
    let closed = SystemCalls.closeReporting(Int32(descriptor))
    let value = try outcome.get()
    if closed < 0, flags & O_ACCMODE != O_RDONLY { throw FileError(.close, path, result: closed) }
    return value
}
