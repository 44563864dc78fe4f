import Glibc

/// Runs `body` while this process holds the lock of the file at `path`: for what only one process at a time may do.
///
/// The file is made where there is none, and stays; what is in it is left as it is.  The lock is flock(2)'s: it is for those who ask for it, processes and green
/// threads alike, and not recursive.  The kernel releases it when its holder ends, in whatever way; a child that was forked
/// meanwhile, and did not start another program, holds it too.
///
/// While another holds it, the green thread waits: it looks after 1 ms, and less often later, up to every 50 ms.  Throws `FileLockError`, which names the
/// holder, where it has not got the lock by `deadline` or is killed; `FileError` where the file can't be opened or locked; and what `body` throws.
/// Returns what `body` returns.  Callable from any green thread.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
public func withFileLock<Value>(
    _ path: String, until deadline: Deadline = .never, _ body: () throws -> Value
) throws -> Value {
    let lock = try FileLock(path, until: deadline)
    defer { lock.release() }
    return try body()
}

/// A file's lock was not to be had in time.
public struct FileLockError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The path as it was given.
    public let path: String
    /// The process that holds the lock; nil where it can't be found out, as in another namespace of processes.
    public let holder: Int32?
    /// What ended the wait: `deadlinePassed`, `timedOut` or `cancelled`.
    public let waitError: WaitError?

    /// As in `cannot lock /run/x.lock: deadline passed, held by process 4711 (backup)`.
    public var description: String {
        let reason =
            switch waitError {
            case .deadlinePassed: "deadline passed"
            case .timedOut(let limit): "timed out after \(limit.duration.text)"
            case let error?: "\(error)"
            case nil: "held"
            }
        guard let holder else { return "cannot lock \(path.escaped): \(reason)" }
        let name = LockTable.name(of: holder).map { " (\($0.escaped))" } ?? ""
        return "cannot lock \(path.escaped): \(reason), held by process \(holder)\(name)"
    }
}

extension FileLockError: WaitEnding {
    /// Whether time ran out: `deadlinePassed`, or `timedOut`.
    public var isTimeout: Bool { waitError?.isTimeout ?? false }
    /// Whether the green thread was killed, or a member of its group has failed.
    public var isCancellation: Bool { waitError?.isCancellation ?? false }
}

private struct FileLock {
    private static let shortestPause = Duration.milliseconds(1)
    private static let longestPause = Duration.milliseconds(50)

    private let descriptor: Int32

    init(_ path: String, until deadline: Deadline) throws {
        var descriptor = try FileLock.open(path)
        do {
            var pause = FileLock.shortestPause
            while true {
                let result = SystemCalls.tryLock(descriptor)
                if result == 0 {
                    if SystemCalls.leads(path, to: descriptor) { break }
                    // The file was removed or replaced meanwhile: others lock the new one.
                    SystemCalls.close(descriptor)
                    descriptor = -1
                    descriptor = try FileLock.open(path)
                    continue
                }
                if result != -Int(EWOULDBLOCK) { throw FileError(.flock, path, result: result) }
                try FileLock.wait(for: pause, until: deadline, path, descriptor)
                pause = min(pause * 2, FileLock.longestPause)
            }
        } catch {
            if descriptor >= 0 { SystemCalls.close(descriptor) }
            throw error
        }
        self.descriptor = descriptor
    }

    /// Releases the lock with the last descriptor of it.
    func release() { SystemCalls.close(descriptor) }

    private static func open(_ path: String) throws(FileError) -> Int32 {
        if path.utf8.contains(0) { throw FileError(.open, path, result: -Int(EINVAL)) }
        var result = SystemCalls.openFile(path, O_RDWR | O_CREAT, mode: 0o666)
        // The lock needs no more.
        if [-Int(EACCES), -Int(EROFS)].contains(result) { result = SystemCalls.openFile(path, O_RDONLY) }
        if result < 0 { throw FileError(.open, path, result: result) }
        return Int32(result)
    }

    private static func wait(
        for pause: Duration, until deadline: Deadline, _ path: String, _ descriptor: Int32
    ) throws(FileLockError) {
        var ending: WaitError?
        do throws(WaitError) {
            if deadline.hasPassed { throw .deadlinePassed }
            try Greenlet.sleep(until: min(.after(pause), deadline))
        } catch {
            ending = error
        }
        if let ending { throw FileLockError(path: path, holder: LockTable.holder(of: descriptor), waitError: ending) }
    }
}
