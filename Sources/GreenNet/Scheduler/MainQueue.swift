/// Dispatch's main queue, on which jobs for the main actor come as well: they must run on the main OS thread, which a hub has.
///
/// libdispatch makes a descriptor for the queue at its first use, or when it is asked for it.  So it is asked only once the queue was used, or the process
/// has started another OS thread, which could use it at any time.  A hub that sleeps before that costs the comparison of 128 bytes.
struct MainQueue {
    enum State: UInt8 {
        /// The hub has not the main OS thread, or other code runs the queue.
        case foreign
        /// Not used so far.
        case unused
        case watched
        /// A green thread runs its jobs; the watcher is stopped.
        case draining
    }

    var state = State.foreign
    /// A job was run: more may come, while there are other OS threads.
    var hasRun = false
    fileprivate var handle: Int32 = -1
    /// Raw memory: libev keeps its address.
    fileprivate var watcher: UnsafeMutablePointer<IOWatcher>?

    /// The program does not use the queue; or this process is a fork of one that had the descriptor, and the descriptor is closed here.
    /// Set by the only OS thread of a program that begins, or of a forked child.
    nonisolated(unsafe) static var isLeftAlone = false
}

extension Scheduler {
    private var queue: UnsafeMutablePointer<MainQueue> {
        withUnsafeMutablePointer(to: &fields.pointee.mainQueue) { $0 }
    }

    /// On the main OS thread, of which no other code runs the queue.
    func ownMainQueue() {
        if LinuxCalls.hasMainQueue, !MainQueue.isLeftAlone { queue.pointee.state = .unused }
    }

    /// In a forked child, of its parent's hub or without one.
    static func leaveMainQueue() {
        if LinuxCalls.hasMainQueue, LinuxCalls.mainQueueWasUsed || MainQueue.hasHandle { MainQueue.isLeftAlone = true }
    }

    /// Before the loop is looked at.
    @inline(__always)
    func lookAtMainQueue() { if queue.pointee.state == .unused { watchMainQueueIfUsed() } }

    @inline(never)
    private func watchMainQueueIfUsed() {
        guard LinuxCalls.mainQueueWasUsed || !LinuxCalls.isSingleThreaded else { return }
        let handle = LinuxCalls.mainQueueHandle
        // Tried again at the next pass.
        if handle < 0 { return }
        MainQueue.hasHandle = true
        let watcher = UnsafeMutablePointer<IOWatcher>.allocate(capacity: 1)
        watcher.initialize(to: IOWatcher())
        watcher.set(.readable, of: handle, context: address, callback: mainQueueCalls)
        (queue.pointee.handle, queue.pointee.watcher) = (handle, watcher)
        watchMainQueue()
    }

    fileprivate func watchMainQueue() {
        queue.pointee.state = .watched
        queue.pointee.watcher!.start(on: loop)
    }

    /// In the loop.
    fileprivate func mainQueueBecameReadable() {
        queue.pointee.watcher!.stop(on: loop)
        queue.pointee.state = .draining
        fields.pointee.drainMainQueue(self)
    }

    /// On a green thread of its own, for a job may wait.
    func runMainQueue() {
        queue.pointee.hasRun = true
        let handle = queue.pointee.handle
        TaskWords.asTask { LinuxCalls.drainMainQueue(handle) }
        watchMainQueue()
    }

    /// Where no other event can come.  Returns whether a job of the queue was there.
    func hasMainQueueJob() -> Bool {
        guard queue.pointee.state == .watched else { return false }
        pollEvents()
        return !fields.pointee.ready.isEmpty
    }

    /// When the hub closes.
    func disownMainQueue() {
        if let watcher = queue.pointee.watcher {
            watcher.stop(on: loop)
            watcher.deallocate()
        }
        queue.pointee = MainQueue()
    }
}

extension MainQueue {
    /// libdispatch was asked for the descriptor.  On the main OS thread only.
    nonisolated(unsafe) fileprivate static var hasHandle = false
}

/// In the loop.
private let mainQueueCalls: IOWatcher.Callback = { _, watcher, _ in
    let owner = IOWatcher.owner(watcher, as: IOWatcher.self)
    Scheduler(owner.pointee.context!).mainQueueBecameReadable()
}
