import Synchronization

/// A flag that any OS thread sets, and that the green threads of any hub and tasks wait for until it is set.
///
///     let configured = RemoteEvent()
///     thread.remote.spawn { try configured.wait(); serve() }
///     configured.set()
///
/// As `GreenEvent`: once set it stays set, until `clear()`.  `set()` resumes every green thread and task that waits, even if the event is cleared before it runs.
public final class RemoteEvent: Sendable, Waitable {
    private struct State {
        var isSet = false
        /// They wait only while it is not set.
        var waiters: [RemoteTicket<Void>] = []
        var watchers = RemoteWatchers()
    }

    private let state = Mutex(State())

    /// An event that is not set.
    public init() {}

    private func locked<Answer: Sendable>(_ body: (inout State) -> Answer) -> Answer {
        state.withLock { state in Sanitizer.locked(self) { body(&state) } }
    }

    /// Whether the event is set.  Callable from any OS thread.
    public var isSet: Bool { locked { $0.isSet } }

    /// Sets the event.  Callable from any OS thread; never waits.
    public func set() {
        let (waiters, watchers) = locked { state in
            defer { state.waiters = [] }
            state.isSet = true
            for waiter in state.waiters { waiter.serve(with: ()) }
            return (state.waiters, state.watchers.take(if: true))
        }
        for waiter in waiters { waiter.wake() }
        for watcher in watchers { watcher.ring() }
    }

    /// Clears the event.  Callable from any OS thread; never waits.
    public func clear() { locked { $0.isSet = false } }

    /// Waits until the event is set, or until `deadline`.  Returns whether it was set.
    ///
    /// Throws when the caller is killed or an enclosing time limit is over.  Callable from a green thread of any hub; on an OS thread without a hub, it makes one.
    @available(*, noasync, message: "it parks a green thread; a task awaits it, without a deadline")
    @discardableResult
    public func wait(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        if isSet { return true }
        let ticket = RemoteTicket<Void>(nil, of: .greenThread)
        defer { ticket.end() }
        guard enter(ticket) else { return true }
        while isWaiting(ticket) {
            guard let error = ticket.park(until: deadline), leave(ticket) else { continue }
            if error == .deadlinePassed { return false }
            throw error
        }
        return true
    }

    /// Returns whether `ticket` waits, with the `continuation` of a task: whether that will be resumed.
    func enter(_ ticket: RemoteTicket<Void>, _ continuation: UnsafeContinuation<Void, Never>? = nil) -> Bool {
        locked { state in
            if state.isSet {
                ticket.serve(with: ())
                return false
            }
            guard ticket.suspend(continuation) else { return false }
            state.waiters.append(ticket)
            return true
        }
    }

    /// False where `ticket` does not wait any more.
    func leave(_ ticket: RemoteTicket<Void>) -> Bool {
        locked { state in
            let count = state.waiters.count
            state.waiters.removeAll { $0 === ticket }
            return state.waiters.count < count
        }
    }

    func isWaiting(_ ticket: RemoteTicket<Void>) -> Bool { locked { _ in ticket.stage == .waiting } }
}

extension RemoteEvent: RemoteSource {
    /// Ready while the event is set.
    public var waitSource: WaitSource { remoteWaitSource }

    var isReady: Bool { isSet }

    func add(_ watcher: RemoteWatcher) {
        let isSet = locked { state in
            if !state.isSet { state.watchers.add(watcher) }
            return state.isSet
        }
        if isSet { watcher.ring() }
    }

    /// For tests.
    var watcherCount: Int { locked { $0.watchers.count } }

    func remove(_ watcher: RemoteWatcher) { locked { $0.watchers.remove(watcher) } }
}
