extension RemoteResult {
    /// Waits until the result is set.  Does not throw the error that was set.  For tasks, whose OS thread it does not block.
    ///
    /// Throws `CancellationError` where the task is cancelled, unless the result was set before.
    public nonisolated(nonsending) func wait() async throws(CancellationError) {
        if isSet { return }
        let waiter = RemoteWaiter(.task)
        await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                if !enter(waiter, continuation) { continuation.resume() }
            }
        } onCancel: {
            if leave(waiter) { waiter.wake() }
        }
        if !isSet { throw CancellationError() }
    }

    /// Waits until the result is set, and returns the value or throws the error.  For tasks, whose OS thread it does not block.
    ///
    /// Throws `CancellationError` where the task is cancelled, unless the result was set before.
    public nonisolated(nonsending) func value() async throws -> Value {
        try await wait()
        return try result!.get()
    }

    /// Returns whether the continuation will be resumed.
    private func enter(_ waiter: RemoteWaiter, _ continuation: UnsafeContinuation<Void, Never>) -> Bool {
        withState { state in
            guard !state.outcome.isThere, waiter.suspend(continuation) else { return false }
            state.waiters.append(waiter)
            return true
        }
    }

    /// False where `waiter` is not there any more.
    private func leave(_ waiter: RemoteWaiter) -> Bool {
        withState { state in
            let count = state.waiters.count
            state.waiters.removeAll { $0 === waiter }
            return state.waiters.count < count
        }
    }
}
