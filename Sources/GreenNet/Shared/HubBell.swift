/// The bell of a hub, and the green threads of the hub that wait for other processes.  Touched on the hub's OS thread only.
///
/// Raw memory: the loop has the watcher's address, and green threads park while they are in the list.
struct HubBell {
    private let state: UnsafeMutablePointer<State>

    struct State {
        /// First, for the callback finds the state by it.
        var watcher = IOWatcher()
        let bell: Bell
        var first: UnsafeMutablePointer<Waiter>?
    }

    /// A green thread, and the word that another process changes before it rings.
    struct Waiter {
        let thread: GreenThread
        let word: SharedWord
        /// What the word is while there was no ring.
        let waiting: UInt64
        var next: UnsafeMutablePointer<Waiter>?
        var previous: UnsafeMutablePointer<Waiter>?
    }

    var number: UInt64 { UInt64(state.pointee.bell.number) }

    /// That of `scheduler`, which this call makes if there is none; nil where the kernel has no descriptor left.
    static func of(_ scheduler: Scheduler) -> HubBell? {
        if let address = scheduler.fields.pointee.bell?.address {
            let bell = HubBell(state: address.assumingMemoryBound(to: State.self))
            // The kernel had no memory to watch it.
            if !bell.watcher.isActive { bell.watcher.start(on: scheduler.loop) }
            return bell
        }
        guard let bell = Bell.open() else { return nil }
        return HubBell(bell, on: scheduler)
    }

    private init(state: UnsafeMutablePointer<State>) { self.state = state }

    private init(_ bell: Bell, on scheduler: Scheduler) {
        state = .allocate(capacity: 1)
        state.initialize(to: State(bell: bell))
        let hubBell = HubBell(state: state)
        watcher.set(.readable, of: bell.descriptor, callback: bellRang)
        watcher.start(on: scheduler.loop)
        scheduler.fields.pointee.bell = BellSupport(address: UnsafeMutableRawPointer(state)) {
            hubBell.close(on: scheduler.loop)
        }
    }

    private var watcher: UnsafeMutablePointer<IOWatcher> {
        UnsafeMutableRawPointer(state).assumingMemoryBound(to: IOWatcher.self)
    }

    private func close(on loop: EventLoop) {
        if watcher.isKnownToLoop { watcher.stop(on: loop) }
        state.pointee.bell.close()
        state.deallocate()
    }

    // MARK: Waiting

    /// Parks the running green thread `thread` until `word` is not `waiting` any more, and a ring has come, or until `moment`.
    func park(_ thread: GreenThread, _ word: SharedWord, _ waiting: UInt64, until moment: Deadline) -> Wake {
        let waiter = UnsafeMutablePointer<Waiter>.allocate(capacity: 1)
        waiter.initialize(to: Waiter(thread: thread, word: word, waiting: waiting, next: state.pointee.first))
        state.pointee.first?.pointee.previous = waiter
        state.pointee.first = waiter
        // The ring may have come since, and have been taken for another's.
        let wake = word.value == waiting ? thread.wait(for: .remote, until: moment) : .event
        remove(waiter)
        return wake
    }

    private func remove(_ waiter: UnsafeMutablePointer<Waiter>) {
        let (next, previous) = (waiter.pointee.next, waiter.pointee.previous)
        next?.pointee.previous = previous
        if let previous { previous.pointee.next = next } else { state.pointee.first = next }
        waiter.deallocate()
    }
}

/// In the loop.
private let bellRang: IOWatcher.Callback = { _, watcher, events in
    let state = IOWatcher.owner(watcher, as: HubBell.State.self)
    if IOWatcher.isRefused(events) { return }
    state.pointee.bell.drain()
    var next = state.pointee.first
    while let waiter = next {
        next = waiter.pointee.next
        if waiter.pointee.word.value != waiter.pointee.waiting { waiter.pointee.thread.wake(.event) }
    }
}
