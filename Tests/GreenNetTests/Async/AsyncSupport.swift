import Glibc
import GreenNet
import TestSupport

/// Runs `body` as a task on this hub's executor, and waits for its end.
@discardableResult
func asTask<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) throws -> Value {
    try started(body).value(until: .after(.seconds(30) * Sanitizer.slowness))
}

/// Starts `body` as a task on this hub's executor.
func started<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) -> RemoteResult<Value> {
    let result = RemoteResult<Value>()
    Task(executorPreference: Hub.current.executor) {
        do { result.set(try await body()) } catch { result.fail(error) }
    }
    return result
}

/// The calling OS thread.  Not optimized: the C library says that `pthread_self` gives the same value for ever, which does not hold over an `await`.
@inline(never) @_optimize(none)
func osThread() -> pthread_t { pthread_self() }

/// An actor whose methods run on a hub.
actor HubActor {
    private let executor: HubSerialExecutor
    private(set) var count = 0
    private(set) var osThreads: Set<pthread_t> = []

    init(_ executor: HubSerialExecutor) { self.executor = executor }

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    @discardableResult
    func add() -> Int {
        count += 1
        osThreads.insert(osThread())
        return count
    }
}

/// An actor without an executor of its own.
actor PlainActor {
    private(set) var count = 0

    func add() { count += 1 }
}
