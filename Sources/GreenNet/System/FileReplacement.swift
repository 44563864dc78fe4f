import Glibc

/// Replaces a file by one with `bytes`, whole or not at all: who opens the path finds the old file or the new one, after a crash of the machine too.
///
/// The new file is written beside the old one, brought to the disk, and renamed.  It keeps the mode of the old one, and its owner and group where this process
/// may set them; a new file gets `mode`, without the bits of the process's umask.  A symbolic link stays, and the file that it leads to is replaced; one that leads
/// nowhere is replaced itself.  Other
/// names of the old file (hard links) keep the old one.
///
/// Where it throws, the old file is as it was and nothing is left beside it: `FileError`, and `WaitError` at the deadline and when killed.  Where it was too late
/// to stop, it returns, and the next wait of a green thread that was killed meanwhile throws.  One error comes when the file is replaced
/// already: `fsync`, for the directory.
///
/// It works on an OS thread of `Hub.offload`; other green threads run meanwhile.  Callable from any green thread.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
public func replaceFile(
    _ path: String, with bytes: [UInt8], mode: UInt32 = 0o666, until deadline: Deadline = .never
) throws {
    require(mode <= 0o7777, "mode: 0o\(String(mode, radix: 8)): a mode is 0o7777 at most")
    try FileWork.run(until: deadline) { work in
        try FileReplacement(path).run(bytes, mode: mode, work)
    }
}

/// Replaces a file by one with a text, as `replaceFile` with bytes does.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
public func replaceFile(
    _ path: String, with text: some StringProtocol, mode: UInt32 = 0o666, until deadline: Deadline = .never
) throws {
    try replaceFile(path, with: Array(text.utf8), mode: mode, until: deadline)
}

/// On an OS thread of `Hub.offload`.
private struct FileReplacement {
    /// As it was given, for errors.
    let path: String
    /// The file itself, where the path leads to one by a link.
    let target: String
    let directory: String

    init(_ path: String) throws(FileError) {
        if path.utf8.contains(0) { throw FileError(.open, path, result: -Int(EINVAL)) }
        self.path = path
        let target = SystemCalls.resolved(path) ?? path
        self.target = target
        directory = target.lastIndex(of: "/").map { $0 == target.startIndex ? "/" : String(target[..<$0]) } ?? "."
    }

    func run(_ bytes: [UInt8], mode: UInt32, _ work: FileWork) throws {
        let old = try statusOfOld()
        let beside = "\(directory)/.\(getpid())-\(UInt64.random(in: 0...UInt64.max)).tmp"
        do {
            // Until it has the old one's mode, no other user may read what is in it.
            try withFile(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: old == nil ? mode : 0o600) { file in
                try writeAll(bytes, to: file, path, work)
                if let old { try take(over: old, file) }
                try synchronize(file, path)
            }
            // Opened before, so that no error of that comes when the file is replaced already.
            try withFile(directory, O_RDONLY | O_DIRECTORY) { directory in
                try work.throwIfStopping()
                let result = SystemCalls.rename(beside, to: target)
                if result < 0 { throw FileError(.rename, path, result: result) }
                try synchronizeDirectory(directory)
            }
        } catch {
            _ = SystemCalls.unlink(beside)
            // The path that the caller knows.
            if let error = error as? FileError, error.call == .open {
                throw FileError(.open, path, result: -Int(error.errno.code))
            }
            throw error
        }
    }

    /// Nil where there is no file yet.
    private func statusOfOld() throws -> stat? {
        var status = stat()
        guard stat(target, &status) == 0 else { return nil }
        let isDirectory = status.st_mode & S_IFMT == S_IFDIR
        if isDirectory { throw FileError(.rename, path, result: -Int(EISDIR)) }
        // A device or a pipe would be gone.
        if status.st_mode & S_IFMT != S_IFREG { throw FileError(.rename, path, result: -Int(EINVAL)) }
        return status
    }

    /// The owner first: the kernel takes set-user-ID from a file that gets another one.
    private func take(over old: stat, _ file: Int32) throws(FileError) {
        let own = SystemCalls.status(file).status
        var mode = old.st_mode & 0o7777
        if own.st_uid != old.st_uid || own.st_gid != old.st_gid,
            SystemCalls.setOwner(file, old.st_uid, old.st_gid) < 0
        {
            _ = SystemCalls.setOwner(file, .max, old.st_gid)
        }
        let new = SystemCalls.status(file).status
        // Not for another owner, or another group.
        if new.st_uid != old.st_uid { mode &= ~0o4000 }
        if new.st_gid != old.st_gid { mode &= ~0o2000 }
        let result = SystemCalls.setMode(file, mode)
        if result < 0 { throw FileError(.fchmod, path, result: result) }
    }

    private func synchronizeDirectory(_ directory: Int32) throws(FileError) {
        let result = SystemCalls.synchronize(directory)
        // There are file systems that have nothing to do for it.
        if result < 0, result != -Int(EINVAL) { throw FileError(.fsync, path, result: result) }
    }
}
