extension RemoteChannel {
    /// Puts `item` in; while the channel is full, waits for room.  For tasks, whose OS thread it does not block.
    ///
    /// Throws `WaitError.closed` where the channel is closed, and `CancellationError` where the task is cancelled; `item` was not put then.
    public nonisolated(nonsending) func put(_ item: Item) async throws {
        try Task.checkCancellation()
        if try tryPut(item) { return }
        let ticket = RemoteTicket(item, of: .task)
        await wait(ticket) { continuation in offer(ticket, continuation) }
        switch stage(of: ticket) {
        case .served: return
        case .refused: throw WaitError.closed
        case .waiting: throw CancellationError()
        }
    }

    /// Takes the next item; while the channel is empty, waits for one.  For tasks, whose OS thread it does not block.
    ///
    /// Throws `WaitError.closed` where the channel is closed and empty, and `CancellationError` where the task is cancelled; nothing was taken then.
    public nonisolated(nonsending) func take() async throws -> Item {
        guard let item = try await next() else { throw WaitError.closed }
        return item
    }

    /// As `take`, but returns nil where the channel is closed and empty.
    public nonisolated(nonsending) func next() async throws(CancellationError) -> Item? {
        if Task.isCancelled { throw CancellationError() }
        if let item = tryTake() { return item }
        let ticket = RemoteTicket<Item>(nil, of: .task)
        await wait(ticket) { continuation in ask(ticket, continuation) }
        return switch stage(of: ticket) {
        case .served: locked { _ in ticket.item }
        case .refused: nil
        case .waiting: throw CancellationError()
        }
    }

    /// Waits until `ticket` was served or refused, or the task was cancelled.  `enter` returns whether the continuation will be resumed.
    private nonisolated(nonsending) func wait(
        _ ticket: RemoteTicket<Item>, _ enter: (UnsafeContinuation<Void, Never>) -> Bool
    ) async {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                if !enter(continuation) { continuation.resume() }
            }
        } onCancel: {
            if giveUp(ticket) { ticket.wake() }
        }
    }

    private func stage(of ticket: RemoteTicket<Item>) -> RemoteTicket<Item>.Stage { locked { _ in ticket.stage } }
}

/// `for try await item in channel` takes one item after the other, until the channel is closed and empty.
///
/// Several tasks, and green threads beside them, may take from one channel: each item goes to one of them.  Where the task is cancelled, the loop throws
/// `CancellationError`, and no item is lost.
extension RemoteChannel: AsyncSequence {
    /// The items are the elements.
    public typealias Element = Item
    /// What a loop over the channel throws where its task is cancelled.
    public typealias Failure = CancellationError

    /// Takes the items of a channel, for one task.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let channel: RemoteChannel

        /// Takes the next item; nil where the channel is closed and empty.  Throws `CancellationError` where the task is cancelled.
        public mutating func next() async throws(CancellationError) -> Item? { try await channel.next() }

        /// As the other `next`, for an actor, which it does not leave.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(CancellationError) -> Item? {
            try await channel.next()
        }
    }

    /// An iterator.  Several may take from the channel at the same time.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(channel: self) }
}
