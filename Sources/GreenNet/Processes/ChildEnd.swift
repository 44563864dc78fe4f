import Glibc

/// The end of a child process: sends it signals, waits for its end, and collects it, once.
///
/// A forked child has copies of its parent's objects of this kind; they do nothing there.  The process lives no longer than the object.
final class ChildEnd: HubObject {
    let pid: pid_t
    let hasOwnGroup: Bool
    var owner = Owner()
    var observers: [Observer] = []
    /// How it has ended; nil until that was noticed.
    private(set) var exit: ChildProcess.Exit?
    private let starter = getpid()
    private let watch: UnsafeMutablePointer<Watch>

    /// Raw memory: the loop refers to it, and green threads park in it.
    fileprivate struct Watch {
        /// First: the loop's callback finds the rest by it.
        var watcher = IOWatcher()
        var waiting = WaitQueue.Ends()
        /// The kernel's handle of the process, readable once that has ended; -1 when it was collected.
        var handle: Int32
        /// The kernel can't watch it: a green thread looks every now and then.
        var isRefused = false
        /// The hub counts it among what may end a wait.
        var isAwaited = false
        unowned(unsafe) var object: ChildEnd?
    }

    /// Takes over a child of this process.  Where that can't be watched for want of a descriptor, it is killed and collected.
    init(_ pid: pid_t, hasOwnGroup: Bool) throws(SystemError) {
        (self.pid, self.hasOwnGroup) = (pid, hasOwnGroup)
        let handle = SystemCalls.processHandle(pid)
        watch = .allocate(capacity: 1)
        watch.initialize(to: Watch(handle: Int32(max(-1, handle))))
        if handle >= 0 {
            watch.pointee.object = self
        } else {
            send(SIGKILL)
            collect()
            throw SystemError(Int32(-handle))
        }
    }

    deinit {
        if isStarter {
            if exit == nil {
                send(SIGKILL)
                collect()
            }
            watch.deallocate()
        }
    }

    /// False in a forked child of the process that has started it.
    var isStarter: Bool { getpid() == starter }

    // MARK: Signals

    /// Sends `signal` to it, to all of its group where that is its own; to no process once it was collected, and none in a forked child.  Never waits.
    func send(_ signal: Int32) {
        guard exit == nil, isStarter else { return }
        if hasOwnGroup { SystemCalls.signalGroup(pid, signal) }
        // It may have left its group, where a SIGKILL has to reach it: its end is waited for.
        if !hasOwnGroup || signal == SIGKILL { SystemCalls.signal(pid, signal) }
        if signal == SIGKILL, watcher.isActive { awaitEnd() }
    }

    // MARK: The end

    /// Whether it has ended, as the kernel has it now.  Never waits.
    func look() -> Bool {
        if exit != nil { return true }
        guard isStarter, SystemCalls.poll(watch.pointee.handle, for: .readable) != 0 else { return false }
        collect()
        return true
    }

    /// Of one that has ended, or was killed: waits for that moment.
    private func collect() {
        // Before its number is free for another group.
        if hasOwnGroup { SystemCalls.signalGroup(pid, SIGKILL) }
        exit = SystemCalls.collectChild(pid).map { ChildProcess.Exit(waitStatus: $0) } ?? .unknown
        stopWatching()
        if watch.pointee.handle >= 0 { SystemCalls.close(watch.pointee.handle) }
        watch.pointee.handle = -1
        waiting.wakeAll()
        announce()
    }

    /// Waits until it has ended.  Throws `WaitError.deadlinePassed` where it runs on at `deadline`, and when the caller is killed or an enclosing limit is over.
    func wait(until deadline: Deadline) throws(WaitError) -> ChildProcess.Exit {
        require(isStarter, "process \(getpid()) waits for process \(pid), which is a child of \(starter)")
        let thread = ownThread()
        while !look() {
            startWatching()
            let wake = thread.wait(for: .process, UInt64(pid), until: deadline, in: waiting)
            guard let error = thread.error(after: wake) else { continue }
            if error != .deadlinePassed || !look() { throw error }
        }
        return exit!
    }

    private var waiting: WaitQueue { withUnsafeMutablePointer(to: &watch.pointee.waiting) { WaitQueue($0) } }

    // MARK: The loop

    private var watcher: UnsafeMutablePointer<IOWatcher> {
        withUnsafeMutablePointer(to: &watch.pointee.watcher) { $0 }
    }

    /// From now on its end is noticed when the hub next looks for events.  That keeps no hub from ending.
    func startWatching() {
        checkOwner()
        guard exit == nil, !watcher.isActive, !watch.pointee.isRefused else { return }
        let hub = Hub.currentThread.scheduler
        watcher.set(.readable, of: watch.pointee.handle, context: hub.address, callback: childEnded)
        hub.noteDescriptor(watch.pointee.handle)
        watcher.start(on: hub.loop)
    }

    /// As `startWatching`, for green threads that wait for what follows its end: until then the hub is not stuck.
    func awaitEnd() {
        startWatching()
        guard watcher.isActive, !watch.pointee.isAwaited else { return }
        watch.pointee.isAwaited = true
        Scheduler(watcher.pointee.context!).fields.pointee.outsideWaits += 1
    }

    private func stopWatching() {
        guard watcher.isKnownToLoop, let context = watcher.pointee.context else { return }
        if !owner.isHere { owner.stop(kind) }
        let hub = Scheduler(context)
        watcher.stop(on: hub.loop)
        if watch.pointee.isAwaited { hub.fields.pointee.outsideWaits -= 1 }
        watch.pointee.isAwaited = false
    }

    /// In the loop.  A hub that closes calls it too, though nothing has happened: its loop is gone after that.
    fileprivate func stirred(isRefused: Bool) {
        stopWatching()
        if !look(), isRefused { lookNowAndThen() }
    }

    private func lookNowAndThen() {
        watch.pointee.isRefused = true
        spawn(name: "watch of process \(pid)") { [weak self] in
            while let self, !self.look() { try Greenlet.sleep(for: BackOff.shortest) }
        }
    }
}

private let childEnded: IOWatcher.Callback = { _, watcher, events in
    let watch = IOWatcher.owner(watcher, as: ChildEnd.Watch.self)
    watch.pointee.object?.stirred(isRefused: IOWatcher.isRefused(events))
}

extension ChildEnd: ReadinessSource {
    var isReady: Bool { look() }
}

@available(*, unavailable)
extension ChildEnd: Sendable {}
