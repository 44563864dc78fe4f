/// Calls `body`, which is async, from a green thread, and waits for it: the other green threads of the hub run meanwhile.  Returns or throws as `body` does.
///
///     let page = try awaiting { try await client.get(url) }
///
/// `body` runs as a task, on the green thread that calls: before its first suspension at once, and after each one when what it awaits has come.  It may
/// have another stack there, of the same size.  No other OS thread is needed for it, and it may call what waits, within `parking`.  The task has the green thread's task-locals, and `priority`,
/// or else that of the task in which `awaiting` is called, if any.
///
/// When the green thread is killed, or the time of an enclosing limit is over, the task is cancelled, and `awaiting` throws `WaitError` once `body` has
/// ended; an error other than `CancellationError` that `body` throws then comes out as it is, and so does its value.  What ignores cancellation
/// keeps `awaiting` from ending: see `awaiting(priority:abandoning:_:)`.
///
/// Throws `AwaitingUnavailable` where the hub can't keep tasks apart: see `Hub.capabilities`.  Callable from any green thread.
@available(*, noasync, message: "async code awaits the call itself")
@inlinable  // the caller knows which type of `Value` it is; here it would have to be looked up
public func awaiting<Value>(
    priority: TaskPriority? = nil, _ body: nonisolated(nonsending) () async throws -> Value
) throws -> Value {
    var result: Result<Value, any Error>?
    let interruption = try withUnsafeMutablePointer(to: &result) { place in
        try withoutActuallyEscaping(body) { body in
            nonisolated(unsafe) let (body, place) = (body, place)
            return try runAwaited(priority: priority) {
                do { place.pointee = .success(try await body()) } catch { place.pointee = .failure(error) }
            }
        }
    }
    if let interruption, case .failure(is CancellationError) = result! { throw interruption }
    return try result!.get()
}

/// As the other `awaiting`; with `abandoning`, it does not wait for `body` where the green thread is killed or the time of an enclosing limit is over.
///
/// For calls that ignore cancellation; code of `body` that runs at that moment, or waits in `parking`, comes to its next suspension first.  The task is cancelled then as well, and what it still does runs on the hub; its value or error is dropped.  A hub
/// that closes does not wait for it: it goes on where Swift's global executor runs it.
@available(*, noasync, message: "async code awaits the call itself")
public func awaiting<Value: Sendable>(
    priority: TaskPriority? = nil, abandoning: Bool, _ body: @escaping @Sendable () async throws -> Value
) throws -> Value {
    guard abandoning else { return try awaiting(priority: priority, body) }
    let outcome = AbandonedOutcome<Value>()
    let interruption = try runAbandoning(priority: priority) {
        do { outcome.result = .success(try await body()) } catch { outcome.result = .failure(error) }
    }
    if let interruption { throw interruption }
    return try outcome.result!.get()
}

// Set by the task, and read where the task has ended.
private final class AbandonedOutcome<Value: Sendable>: @unchecked Sendable {
    var result: Result<Value, any Error>?
}

/// Why `awaiting` can't run a task on this hub.
public struct AwaitingUnavailable: Error, Hashable, Sendable, CustomStringConvertible {
    /// As `Hub.Capabilities` has it.
    public let reason: String

    /// As in `awaiting can't keep the tasks of green threads apart: ...`.
    public var description: String { "awaiting can't keep the tasks of green threads apart: \(reason)" }
}
