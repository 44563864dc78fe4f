import Glibc

/// Reads a file whole.
///
/// The file is read on an OS thread of `Hub.offload`; other green threads run meanwhile.  Throws `FileError`, ESPIPE for a pipe or a terminal, which have no
/// end of their own; `FileTooLong` where it has more than `limit` bytes; and `WaitError` at the deadline and when killed: the reading stops then.
/// Callable from any green thread.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
public func readFile(_ path: String, limit: Int = 64 << 20, until deadline: Deadline = .never) throws -> [UInt8] {
    require(limit >= 0, "readFile(limit: \(limit)): the limit is 0 bytes or more")
    return try FileWork.run(until: deadline) { work in
        try withFile(path, O_RDONLY) { file in try readToEnd(file, path, limit, work) }
    }
}

/// Makes a file of `bytes`, or replaces what is in it.  With `syncs`, it is on the disk when the call returns.
///
/// A new file gets `mode`, without the bits of the process's umask.  The file is written on an OS thread of `Hub.offload`; other green threads run meanwhile.
///
/// It is emptied first: while the call runs, and where it throws, the file may have any part of `bytes`.  `replaceFile` leaves all or nothing.
/// Throws `FileError`, and `WaitError` at the deadline and when killed.  When the call has thrown, nothing writes any more; it may throw later than its deadline by
/// the time that the file system takes for a mebibyte.
/// Callable from any green thread.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
public func writeFile(
    _ path: String, _ bytes: [UInt8], mode: UInt32 = 0o666, syncs: Bool = false, until deadline: Deadline = .never
) throws {
    try FileWork.run(until: deadline) { work in
        try withFile(path, O_WRONLY | O_CREAT | O_TRUNC, mode: checked(mode)) { file in
            try writeAll(bytes, to: file, path, work)
            if syncs { try synchronize(file, path) }
        }
    }
}

/// Makes a file of a text, or replaces what is in it, as `writeFile` of bytes does.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
public func writeFile(
    _ path: String, _ text: some StringProtocol, mode: UInt32 = 0o666, syncs: Bool = false,
    until deadline: Deadline = .never
) throws {
    try writeFile(path, Array(text.utf8), mode: mode, syncs: syncs, until: deadline)
}

/// Writes `bytes` behind the end of a file, which is made where there is none.  With `syncs`, they are on the disk when the call returns.
///
/// In one call to the kernel: what other processes append at the same time comes before or behind it.  A new file gets `mode`, without the bits of the
/// process's umask.  The file is written on an OS thread of `Hub.offload`; other green threads run meanwhile.
///
/// Throws `WaitError` at the deadline and when killed, where it has not begun: then nothing is written.  Once begun it is done, and the call returns; the next
/// wait of a green thread that was killed meanwhile throws.  Throws `FileError`, whose `written` says how many bytes a full disk has taken.
/// Callable from any green thread.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
public func appendToFile(
    _ path: String, _ bytes: [UInt8], mode: UInt32 = 0o666, syncs: Bool = false, until deadline: Deadline = .never
) throws {
    try FileWork.run(until: deadline) { _ in
        try withFile(path, O_WRONLY | O_CREAT | O_APPEND, mode: checked(mode)) { file in
            try writeAll(bytes, to: file, path)
            if syncs { try synchronize(file, path) }
        }
    }
}

/// Writes a text behind the end of a file, as `appendToFile` of bytes does.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
public func appendToFile(
    _ path: String, _ text: some StringProtocol, mode: UInt32 = 0o666, syncs: Bool = false,
    until deadline: Deadline = .never
) throws {
    try appendToFile(path, Array(text.utf8), mode: mode, syncs: syncs, until: deadline)
}

// MARK: - On an OS thread

/// What is done between two looks at whether to stop.
private let piece = 1 << 20

private func readToEnd(_ file: Int32, _ path: String, _ limit: Int, _ work: FileWork) throws -> [UInt8] {
    let position = SystemCalls.position(file)
    if position < 0 { throw FileError(.lseek, path, result: position) }
    var bytes: [UInt8] = []
    // Only a hint: a file of the kernel's has no size, and one that grows has another soon.
    bytes.reserveCapacity(min(limit, max(0, Int(SystemCalls.status(file).status.st_size)), 64 << 20))
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: min(piece, 256 << 10), alignment: 4096)
    defer { buffer.deallocate() }
    while true {
        try work.throwIfStopping()
        let count = SystemCalls.read(file, into: buffer)
        if count < 0 { throw FileError(.read, path, result: count) }
        if count == 0 { return bytes }
        if count > limit - bytes.count { throw FileTooLong(path: path, limit: limit) }
        bytes += buffer[..<count]
    }
}

/// In one call to the kernel, unless there is `work` to be stopped.
func writeAll(_ bytes: [UInt8], to file: Int32, _ path: String, _ work: FileWork? = nil) throws {
    try bytes.withUnsafeBytes { bytes in
        var written = 0
        while written < bytes.count {
            try work?.throwIfStopping()
            let next = bytes[written...].prefix(work == nil ? .max : piece)
            let count = SystemCalls.write(file, UnsafeRawBufferPointer(rebasing: next))
            if count < 0 { throw FileError(.write, path, result: count, written: written) }
            written += count
        }
    }
}

func synchronize(_ file: Int32, _ path: String) throws(FileError) {
    let result = SystemCalls.synchronize(file)
    if result < 0 { throw FileError(.fsync, path, result: result) }
}

private func checked(_ mode: UInt32) -> mode_t {
    require(mode <= 0o7777, "mode: 0o\(String(mode, radix: 8)): a mode is 0o7777 at most")
    return mode
}
