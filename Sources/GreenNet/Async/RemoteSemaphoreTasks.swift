extension RemoteSemaphore {
    /// Takes a permit, and waits until one is available.  For tasks, whose OS thread it does not block.
    ///
    /// Throws `CancellationError` where the task is cancelled; no permit was taken then.
    public nonisolated(nonsending) func acquire() async throws(CancellationError) {
        // Never nil, for the channel is never closed.
        _ = try await permits.next()
    }

    /// Runs `body` with a permit, which it releases however `body` ends.  For tasks, whose OS thread it does not block.
    ///
    /// Throws `CancellationError` where the task is cancelled before it has a permit; `body` does not run then.  An error of `body` comes out as it is.
    @discardableResult
    public nonisolated(nonsending) func withPermit<Value>(
        _ body: nonisolated(nonsending) () async throws -> Value
    ) async throws -> Value {
        try await acquire()
        defer { release() }
        return try await body()
    }
}
