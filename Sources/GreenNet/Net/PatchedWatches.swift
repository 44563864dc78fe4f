import Glibc

/// What wakes one wait for several descriptors of a C library.
///
/// What is read from has its socket's watcher, which stays started: the next wait costs no system call.  What is written to is nearly always ready, and a
/// descriptor that another green thread reads from has one reader already: each of these has a watcher of its own, for this wait.
struct PatchedWatches {
    private let thread: GreenThread
    private let mayStay: Bool
    private let sockets: UnsafeMutablePointer<Socket>
    private let watchers: UnsafeMutablePointer<IOWatcher>
    private var (socketCount, watcherCount) = (0, 0)
    /// One was waited for before: where it was closed unseen, the number may be another file's.
    private(set) var mayBeStale = false

    /// For the green thread that runs.  Room for one of `sockets` and two of `watchers` is needed for each descriptor.
    init(
        _ sockets: UnsafeMutablePointer<Socket>, _ watchers: UnsafeMutablePointer<IOWatcher>, mayStay: Bool
    ) {
        (thread, self.sockets, self.watchers, self.mayStay) = (Context.running!, sockets, watchers, mayStay)
    }

    mutating func start(_ wanted: pollfd) {
        let (events, descriptor) = (Int32(wanted.events), wanted.fd)
        let isKnown = mayStay && PatchedWait.knows(descriptor, thread.scheduler)
        if isKnown { mayBeStale = true }
        if events & (POLLIN | Int32(POLLRDNORM)) != 0, !(mayStay && startReading(descriptor)) {
            startOwn(.readable, descriptor, isKnown: isKnown)
        }
        guard events & (POLLOUT | Int32(POLLWRNORM)) != 0 else { return }
        // From now on its close is told.
        if mayStay { _ = PatchedWait.socket(descriptor, thread.scheduler) }
        startOwn(.writable, descriptor, isKnown: isKnown)
    }

    /// Returns false where another wait reads from it, or an earlier entry of this one.
    private mutating func startReading(_ descriptor: Int32) -> Bool {
        let socket = PatchedWait.socket(descriptor, thread.scheduler)
        if socket.state.pointee.reader != nil { return false }
        socket.state.pointee.reader = thread
        if !socket.reading.isActive { socket.reading.start(on: thread.scheduler.loop) }
        (sockets + socketCount).initialize(to: socket)
        socketCount += 1
        return true
    }

    private mutating func startOwn(_ direction: Direction, _ descriptor: Int32, isKnown: Bool) {
        let watcher = watchers + watcherCount
        watcher.initialize(to: IOWatcher())
        watcher.set(
            direction, of: descriptor, isKnown: isKnown, context: thread.record, callback: PatchedWatches.becameReady)
        watcher.start(on: thread.scheduler.loop)
        watcherCount += 1
    }

    private static let becameReady: IOWatcher.Callback = { _, raw, events in
        let watcher = IOWatcher.owner(raw, as: IOWatcher.self)
        let thread = GreenThread(watcher.pointee.context!)
        if IOWatcher.isRefused(events) { watcher.forgetContext() }
        thread.wakeByDescriptor(IOWatcher.priority(raw))
    }

    /// After the wait.  Returns whether the kernel has refused to watch one.
    func end() -> Bool {
        var isRefused = false
        for index in 0..<watcherCount {
            let watcher = watchers + index
            if watcher.isKnownToLoop { watcher.stop(on: thread.scheduler.loop) }
            // In the loop's callback the context of a watcher that the kernel refuses was taken away.
            if watcher.pointee.context == nil { isRefused = true }
        }
        for socket in UnsafeBufferPointer(start: sockets, count: socketCount) {
            socket.state.pointee.reader = nil
            if socket.state.pointee.isUnwatched { isRefused = true }
            socket.state.pointee.isUnwatched = false
            if socket.isClosed { socket.letGo() }
        }
        return isRefused
    }
}
