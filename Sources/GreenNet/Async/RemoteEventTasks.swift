extension RemoteEvent {
    /// Waits until the event is set.  For tasks, whose OS thread it does not block.
    ///
    /// Throws `CancellationError` where the task is cancelled, unless the event was set before.
    public nonisolated(nonsending) func wait() async throws(CancellationError) {
        if isSet { return }
        let ticket = RemoteTicket<Void>(nil, of: .task)
        await ticket.suspendTask { continuation in
            enter(ticket, continuation)
        } orLeave: {
            self.leave(ticket)
        }
        if isWaiting(ticket) { throw CancellationError() }
    }
}

extension RemoteWaiter {
    /// Suspends the task, whose waiter this is, until `wake()` or its cancellation.  `enter` returns whether the continuation will be resumed, `leave` whether the
    /// waiter was still there.
    nonisolated(nonsending) func suspendTask(
        _ enter: (UnsafeContinuation<Void, Never>) -> Bool, orLeave leave: @Sendable () -> Bool
    ) async {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                if !enter(continuation) { continuation.resume() }
            }
        } onCancel: {
            if leave() { wake() }
        }
    }
}
