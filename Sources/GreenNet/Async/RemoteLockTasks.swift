extension RemoteLock {
    /// Runs `body` with the lock, which it releases however `body` ends.  For tasks, whose OS thread it does not block.
    ///
    /// The task is the owner: a child task, or a green thread that `body` calls by `parking`, is another one, which would wait for ever.  Throws `WaitError.deadlock`
    /// where the task holds the lock, and `CancellationError` where the task is cancelled before it has the lock; `body` does not run then.  An error of
    /// `body` comes out as it is.
    @discardableResult
    public nonisolated(nonsending) func withLock<Value>(
        _ body: nonisolated(nonsending) () async throws -> Value
    ) async throws -> Value {
        let holder = Holder.task(UInt(bitPattern: TaskWords.currentTask))
        try await acquire(for: holder)
        defer { release(by: holder) }
        return try await body()
    }

    private nonisolated(nonsending) func acquire(for holder: Holder) async throws {
        try Task.checkCancellation()
        if take(for: holder) { return }
        if isHeld(by: holder) { throw WaitError.deadlock(LockCycle(greenThreads: ["a task"])) }
        let ticket = RemoteTicket<Void>(nil, of: .task)
        await ticket.suspendTask { continuation in
            enter(ticket, holder, continuation)
        } orLeave: {
            self.leave(ticket)
        }
        if isWaiting(ticket) { throw CancellationError() }
    }
}
