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
    /// The side at which items are put, and everything that is rare.
    @usableFromInline
    struct State: ~Copyable, Sendable {
        /// Those that are younger than the items of the other side.
        @usableFromInline
        var items = Ring<Item>()
        /// How many more items fit, at the least: what was taken since this was counted is not in it.
        @usableFromInline
        var room: Int
        /// None waits or watches, and the channel is open: then a `put` for which there is room only appends its item.
        @usableFromInline
        private(set) var isCalm = true
        /// They wait to take only while the channel is empty, and to put only while it is full.
        var takers: [RemoteTicket<Item>] = []
        var putters: [RemoteTicket<Item>] = []
        fileprivate var isClosed = false
        fileprivate var watchers = RemoteWatchers()

        init(room: Int) { self.room = room }

        fileprivate mutating func noteCalm() {
            isCalm = takers.isEmpty && putters.isEmpty && !isClosed && watchers.count == 0
        }
    }

    /// How many items fit; nil for no limit.  With 0, each `put` waits for a `take`.
    public let limit: Int?
    @usableFromInline
    let state: Mutex<State>
    @usableFromInline
    let takeSide = TakeSide<Item>()

    /// An empty channel.
    public init(limit: Int? = nil) {
        require(limit.map { $0 >= 0 } ?? true, "a channel for \(limit!) items")
        self.limit = limit
        state = Mutex(State(room: limit ?? .max))
    }

    /// The part of every call that a program's own code has compiled in it, since only there the type of the items is known.
    @inlinable
    @inline(__always)
    func lockedInline<Answer: Sendable>(_ body: (inout State) -> Answer) -> Answer {
        state.withLock { state in
            Sanitizer.noteLock(of: self)
            defer { Sanitizer.noteUnlock(of: self) }
            return body(&state)
        }
    }

    func locked<Answer: Sendable>(_ body: (inout State) -> Answer) -> Answer {
        lockedInline { state in
            defer { state.noteCalm() }
            return body(&state)
        }
    }

    /// As `locked`, for what may make it ready.
    private func lockedTelling<Answer: Sendable>(_ body: (inout State) -> Answer) -> Answer {
        let (answer, watchers) = locked { state in
            let answer = body(&state)
            return (answer, state.watchers.take(if: isReady(state)))
        }
        for watcher in watchers { watcher.ring() }
        return answer
    }

    /// Whether a `take` would not wait.
    private func isReady(_ state: borrowing State) -> Bool {
        !state.items.isEmpty || takeSide.count.load(ordering: .relaxed) > 0 || !state.putters.isEmpty || state.isClosed
    }

    /// How many items are in the channel, without those of green threads and tasks that wait to put.  Callable from any OS thread.
    public var count: Int { takeSide.locked { older in locked { state in older.count + state.items.count } } }

    // MARK: Putting

    /// Puts `item` in; while the channel is full, waits for room until `deadline`.  Callable from a green thread of any hub.
    ///
    /// Throws `WaitError.closed` where the channel is closed, `.deadlinePassed` where there was no room by `deadline`, and when the caller is killed or an
    /// enclosing time limit is over; `item` was not put then.
    @available(*, noasync, message: "it parks a green thread; a task awaits it, without a deadline")
    @inlinable
    public func put(_ item: Item, until deadline: Deadline = .never) throws(WaitError) {
        if !putAtOnce(item) { try putSlowly(item, until: deadline) }
    }

    /// Puts `item` in if there is room, or a green thread or task that waits to take; returns whether it did.  Callable from any OS thread; never waits.
    ///
    /// Throws `WaitError.closed` where the channel is closed.
    @inlinable
    public func tryPut(_ item: Item) throws(WaitError) -> Bool {
        if putAtOnce(item) { return true }
        return try tryPutSlowly(item)
    }

    /// Returns false where that takes more than to append `item`.
    @inlinable
    @inline(__always)
    func putAtOnce(_ item: Item) -> Bool {
        lockedInline { state in
            guard state.isCalm, state.room > 0 else { return false }
            state.room -= 1
            state.items.append(item)
            return true
        }
    }

    @usableFromInline
    func putSlowly(_ item: Item, until deadline: Deadline) throws(WaitError) {
        if try tryPutSlowly(item) { return }
        let ticket = RemoteTicket(item, of: .greenThread)
        // There may be room by now.
        offer(ticket)
        try wait(ticket, until: deadline)
    }

    @usableFromInline
    func tryPutSlowly(_ item: Item) throws(WaitError) -> Bool {
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
        // The room is for those that have waited longer.
        guard state.putters.isEmpty, hasRoom(&state) else { return .wait }
        state.room -= 1
        state.items.append(item)
        return .done(nil)
    }

    /// Counts anew where no room is left of what was counted before.
    private func hasRoom(_ state: inout State) -> Bool {
        if state.room == 0 {
            state.room = limit! - state.items.count - takeSide.count.load(ordering: .sequentiallyConsistent)
        }
        return state.room > 0
    }

    /// Lets those in that wait to put, as far as there is room.  Returns them, to be woken outside of the lock.
    private func admitPutters(_ state: inout State) -> [RemoteTicket<Item>] {
        var admitted: [RemoteTicket<Item>] = []
        while !state.putters.isEmpty, hasRoom(&state) {
            let putter = state.putters.removeFirst()
            state.room -= 1
            state.items.append(putter.serve())
            admitted.append(putter)
        }
        if state.putters.isEmpty { takeSide.isWanted.store(false, ordering: .sequentiallyConsistent) }
        return admitted
    }

    /// After an item was taken.
    @usableFromInline
    func admitPutters() {
        let admitted = locked { state in admitPutters(&state) }
        for putter in admitted { putter.wake() }
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
                takeSide.isWanted.store(true, ordering: .sequentiallyConsistent)
                return (answer, true)
            }
            return (answer, false)
        }
        answer.waiter?.wake()
        // An item may have been taken before `isWanted` was set.
        if waits { admitPutters() }
        return waits
    }

    // MARK: Taking

    /// Takes the next item; while the channel is empty, waits for one until `deadline`.  Callable from a green thread of any hub.
    ///
    /// Throws `WaitError.closed` where the channel is closed and empty, `.deadlinePassed` where no item came by `deadline`, and when the caller is killed or
    /// an enclosing time limit is over; nothing was taken then.
    @available(*, noasync, message: "it parks a green thread; a task awaits it, without a deadline")
    @inlinable
    public func take(until deadline: Deadline = .never) throws(WaitError) -> Item {
        if let item = takeAtOnce() { return item }
        return try takeSlowly(until: deadline)
    }

    /// Takes the next item; returns nil where the channel is empty.  Callable from any OS thread; never waits.
    @inlinable
    public func tryTake() -> Item? {
        if let item = takeAtOnce() { return item }
        return takeSide.isWanted.load(ordering: .sequentiallyConsistent) ? takeFromPutter() : nil
    }

    /// Returns nil where no item is in the channel.
    @inlinable
    @inline(__always)
    func takeAtOnce() -> Item? {
        let item: Item? = takeSide.locked { items in
            if items.isEmpty, !refill(&items) { return nil }
            return takeSide.takeFirst(&items)
        }
        // The room that was made goes to the one that has waited longest.
        if takeSide.isWanted.load(ordering: .sequentiallyConsistent) { admitPutters() }
        return item
    }

    /// Gives all items of the other side to this one, whose lock the caller has and whose `items` are empty.  Returns whether there were any.
    @inlinable
    func refill(_ items: inout Ring<Item>) -> Bool {
        lockedInline { state in
            if state.items.isEmpty { return false }
            swap(&items, &state.items)
            takeSide.count.store(items.count, ordering: .sequentiallyConsistent)
            return true
        }
    }

    /// With a limit of 0, straight from the one that waits to put.
    @usableFromInline
    func takeFromPutter() -> Item? {
        let (item, putter): (Item?, RemoteTicket<Item>?) = takeSide.locked { items in
            if !items.isEmpty || refill(&items) { return (takeSide.takeFirst(&items), nil) }
            return locked { state in
                // It was put just now.
                if !state.items.isEmpty { return (state.items.removeFirst(), nil) }
                if state.putters.isEmpty { return (nil, nil) }
                let putter = state.putters.removeFirst()
                return (putter.serve(), putter)
            }
        }
        putter?.wake()
        return item
    }

    @usableFromInline
    func takeSlowly(until deadline: Deadline) throws(WaitError) -> Item {
        let ticket = RemoteTicket<Item>(nil, of: .greenThread)
        ask(ticket)
        try wait(ticket, until: deadline)
        return locked { _ in ticket.item! }
    }

    /// Takes an item for `ticket`, or has it wait for one.  With the `continuation` of a task; returns whether that will be resumed.
    @discardableResult
    func ask(_ ticket: RemoteTicket<Item>, _ continuation: UnsafeContinuation<Void, Never>? = nil) -> Bool {
        let (putter, waits): (RemoteTicket<Item>?, Bool) = takeSide.locked { items in
            if !items.isEmpty || refill(&items) {
                ticket.serve(with: takeSide.takeFirst(&items))
                return (nil, false)
            }
            return locked { state in line(up: ticket, continuation, &state) }
        }
        putter?.wake()
        if takeSide.isWanted.load(ordering: .sequentiallyConsistent) { admitPutters() }
        return waits
    }

    /// Where no item is in the channel.
    private func line(
        up ticket: RemoteTicket<Item>, _ continuation: UnsafeContinuation<Void, Never>?, _ state: inout State
    ) -> (RemoteTicket<Item>?, Bool) {
        if !state.items.isEmpty {
            // It was put just now.
            ticket.serve(with: state.items.removeFirst())
        } else if !state.putters.isEmpty {
            let putter = state.putters.removeFirst()
            ticket.serve(with: putter.serve())
            return (putter, false)
        } else if state.isClosed {
            ticket.refuse()
        } else if ticket.suspend(continuation) {
            state.takers.append(ticket)
            return (nil, true)
        }
        return (nil, false)
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
    @inlinable
    public func next(until deadline: Deadline = .never) throws(WaitError) -> Item? {
        if let item = takeAtOnce() { return item }
        return try nextSlowly(until: deadline)
    }

    @usableFromInline
    func nextSlowly(until deadline: Deadline) throws(WaitError) -> Item? {
        do throws(WaitError) {
            return try takeSlowly(until: deadline)
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

    var isReady: Bool { locked { isReady($0) } }

    func add(_ watcher: RemoteWatcher) {
        let rings = locked { state in
            let rings = isReady(state)
            if !rings { state.watchers.add(watcher) }
            return rings
        }
        if rings { watcher.ring() }
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
