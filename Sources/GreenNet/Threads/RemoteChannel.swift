import Synchronization

/// A first-in, first-out queue of items between OS threads.
///
/// As `GreenQueue`, for the green threads of several hubs, and for tasks: an item that is put belongs to the green thread or task that waits for it from
/// that moment on, so that a later kill, deadline or cancellation loses no item.  All of them together are served first come, first served.
///
///     let work = RemoteChannel<Job>(limit: 100)
///     thread.remote.spawn { while let job = try work.next() { job.run() } }
///     try work.put(Job())
public final class RemoteChannel<Item: Sendable>: Sendable, Waitable {
    struct State: ~Copyable {
        var items = Ring<Item>()
        /// They wait to take only while the channel is empty, and to put only while it is full.
        var takers: [RemoteTicket<Item>] = []
        var putters: [RemoteTicket<Item>] = []
        var isClosed = false
        var watchers = RemoteWatchers()

        /// Whether a `take` would not wait.
        var isReady: Bool { items.count > 0 || !putters.isEmpty || isClosed }
    }

    /// How many items fit; nil for no limit.  With 0, each `put` waits for a `take`.
    public let limit: Int?
    private let state = Mutex(State())

    /// An empty channel.
    public init(limit: Int? = nil) {
        require(limit.map { $0 >= 0 } ?? true, "a channel for \(limit!) items")
        self.limit = limit
    }

    func locked<Answer: Sendable>(_ body: (inout State) -> Answer) -> Answer {
        state.withLock { state in Sanitizer.locked(self) { body(&state) } }
    }

    /// As `locked`, for what may make it ready.
    private func lockedTelling<Answer: Sendable>(_ body: (inout State) -> Answer) -> Answer {
        let (answer, watchers) = locked { state in
            let answer = body(&state)
            return (answer, state.watchers.take(if: state.isReady))
        }
        for watcher in watchers { watcher.ring() }
        return answer
    }

    /// How many items are in the channel, without those of green threads and tasks that wait to put.  Callable from any OS thread.
    public var count: Int { locked { $0.items.count } }

    // MARK: Putting

    /// Puts `item` in; while the channel is full, waits for room until `deadline`.  Callable from a green thread of any hub.
    ///
    /// Throws `WaitError.closed` where the channel is closed, `.deadlinePassed` where there was no room by `deadline`, and when the caller is killed or an
    /// enclosing time limit is over; `item` was not put then.
    @available(*, noasync, message: "it parks a green thread; a task awaits it, without a deadline")
    public func put(_ item: Item, until deadline: Deadline = .never) throws(WaitError) {
        if try tryPut(item) { return }
        let ticket = RemoteTicket(item, of: .greenThread)
        // There may be room by now.
        offer(ticket)
        try wait(ticket, until: deadline)
    }

    /// Puts `item` in if there is room, or a green thread or task that waits to take; returns whether it did.  Callable from any OS thread; never waits.
    ///
    /// Throws `WaitError.closed` where the channel is closed.
    public func tryPut(_ item: Item) throws(WaitError) -> Bool {
        let answer = lockedTelling { state in pass(item, to: &state) }
        if case .closed = answer { throw .closed }
        answer.waiter?.wake()
        return answer.isDone
    }

    private func pass(_ item: Item, to state: inout State) -> RemoteAnswer {
        if state.isClosed { return .closed }
        if !state.takers.isEmpty {
            let taker = state.takers.removeFirst()
            taker.serve(with: item)
            return .done(taker)
        }
        guard limit.map({ state.items.count < $0 }) ?? true else { return .wait }
        state.items.append(item)
        return .done(nil)
    }

    /// Puts the item of `ticket` in, or has it wait for room.  With the `continuation` of a task; returns whether that will be resumed.
    @discardableResult
    func offer(_ ticket: RemoteTicket<Item>, _ continuation: UnsafeContinuation<Void, Never>? = nil) -> Bool {
        let (answer, waits) = lockedTelling { state in
            let answer = pass(ticket.item!, to: &state)
            switch answer {
            case .done: _ = ticket.serve()
            case .closed: ticket.refuse()
            case .wait:
                guard ticket.suspend(continuation) else { break }
                state.putters.append(ticket)
                return (answer, true)
            }
            return (answer, false)
        }
        answer.waiter?.wake()
        return waits
    }

    // MARK: Taking

    /// Takes the next item; while the channel is empty, waits for one until `deadline`.  Callable from a green thread of any hub.
    ///
    /// Throws `WaitError.closed` where the channel is closed and empty, `.deadlinePassed` where no item came by `deadline`, and when the caller is killed or
    /// an enclosing time limit is over; nothing was taken then.
    @available(*, noasync, message: "it parks a green thread; a task awaits it, without a deadline")
    public func take(until deadline: Deadline = .never) throws(WaitError) -> Item {
        if let item = tryTake() { return item }
        let ticket = RemoteTicket<Item>(nil, of: .greenThread)
        ask(ticket)
        try wait(ticket, until: deadline)
        return locked { _ in ticket.item! }
    }

    /// Takes the next item; returns nil where the channel is empty.  Callable from any OS thread; never waits.
    public func tryTake() -> Item? {
        let (item, putter) = locked { state in draw(from: &state) }
        putter?.wake()
        return item
    }

    /// The room that is made goes to the one that has waited longest.
    private func draw(from state: inout State) -> (Item?, RemoteTicket<Item>?) {
        let item = state.items.popFirst()
        guard !state.putters.isEmpty else { return (item, nil) }
        let putter = state.putters.removeFirst()
        let offered = putter.serve()
        guard let item else { return (offered, putter) }
        state.items.append(offered)
        return (item, putter)
    }

    /// Takes an item for `ticket`, or has it wait for one.  With the `continuation` of a task; returns whether that will be resumed.
    @discardableResult
    func ask(_ ticket: RemoteTicket<Item>, _ continuation: UnsafeContinuation<Void, Never>? = nil) -> Bool {
        let (putter, waits) = locked { state in
            let (item, putter) = draw(from: &state)
            if let item {
                ticket.serve(with: item)
            } else if state.isClosed {
                ticket.refuse()
            } else if ticket.suspend(continuation) {
                state.takers.append(ticket)
                return (putter, true)
            }
            return (putter, false)
        }
        putter?.wake()
        return waits
    }

    // MARK: The end

    /// Closes the channel: no item can be put any more, and the items that are in it can still be taken.  Waits that can't succeed any more throw
    /// `WaitError.closed`.  Callable from any OS thread; never waits.
    public func close() {
        let waiters = lockedTelling { state in
            defer { (state.takers, state.putters) = ([], []) }
            state.isClosed = true
            let waiters = state.takers + state.putters
            for waiter in waiters { waiter.refuse() }
            return waiters
        }
        for waiter in waiters { waiter.wake() }
    }

    /// As `take`, but returns nil where the channel is closed and empty: `while let item = try channel.next()`.
    @available(*, noasync, message: "it parks a green thread; a task awaits it, without a deadline")
    public func next(until deadline: Deadline = .never) throws(WaitError) -> Item? {
        do throws(WaitError) {
            return try take(until: deadline)
        } catch {
            guard error == .closed else { throw error }
            return nil
        }
    }

    // MARK: Waiting

    /// Until `ticket` was served.  An item that has come counts, even if a kill or a deadline has come too.
    private func wait(_ ticket: RemoteTicket<Item>, until deadline: Deadline) throws(WaitError) {
        defer { ticket.end() }
        while locked({ _ in ticket.stage == .waiting }) {
            guard let error = ticket.park(until: deadline) else { continue }
            if giveUp(ticket) { throw error }
        }
        if locked({ _ in ticket.stage == .refused }) { throw .closed }
    }

    /// Takes `ticket` out of the line; false where it is not there any more.
    func giveUp(_ ticket: RemoteTicket<Item>) -> Bool {
        locked { state in
            let count = state.takers.count + state.putters.count
            state.takers.removeAll { $0 === ticket }
            state.putters.removeAll { $0 === ticket }
            return state.takers.count + state.putters.count < count
        }
    }
}

extension RemoteChannel: RemoteSource {
    /// Ready while an item can be taken, and once the channel is closed.
    public var waitSource: WaitSource { remoteWaitSource }

    var isReady: Bool { locked { $0.isReady } }

    func add(_ watcher: RemoteWatcher) {
        let isReady = locked { state in
            if !state.isReady { state.watchers.add(watcher) }
            return state.isReady
        }
        if isReady { watcher.ring() }
    }

    /// For tests.
    var watcherCount: Int { locked { $0.watchers.count } }

    func remove(_ watcher: RemoteWatcher) { locked { $0.watchers.remove(watcher) } }
}

/// What became of a `put`.
private enum RemoteAnswer {
    /// With the one to wake for it.
    case done(RemoteWaiter?)
    case wait
    case closed

    var isDone: Bool { if case .done = self { true } else { false } }
    var waiter: RemoteWaiter? { if case .done(let waiter) = self { waiter } else { nil } }
}
