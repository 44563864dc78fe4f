import Glibc
import Synchronization

/// Schedules the green threads of one OS thread over one event loop.
///
/// The first call that needs a hub makes it.  The OS thread's own stack is its *main* green thread, so that code at top level can
/// spawn, sleep and join.  A hub and its green threads stay on their OS thread; other OS threads reach it through `remote` only.
/// A hub ends with its OS thread, or by `close()`.
public final class Hub: HubObject {
    let scheduler: Scheduler
    var owner = Owner.here

    /// Called with each green thread, or call of an `OffloadPool`, that failed and whose end no other code has asked for.  By default it writes a line to standard error.
    ///
    /// Called on the hub's OS thread, on the stack of any of its green threads; must not wait.
    public var onUnobservedFailure: (UnobservedFailure) -> Void = writeFailure

    /// Called with each green thread when it is spawned, before it begins; nil by default.
    ///
    /// Called on the stack of the green thread that spawns; must not wait.
    public var onSpawn: ((AnyGreenlet) -> Void)? {
        didSet {
            checkOwner()
            scheduler.fields.pointee.onSpawn = onSpawn.map { onSpawn in { onSpawn($0.greenlet) } }
        }
    }

    /// Watches in which orders the green threads of this hub acquire locks; nil by default.
    public var lockOrder: LockOrder? {
        didSet {
            checkOwner()
            scheduler.fields.pointee.lockOrder = lockOrder
        }
    }

    /// A green thread can be outlived by its handle, and the handle by the hub.
    static func report(_ failure: UnobservedFailure) {
        let hub = Context.running?.scheduler.hub
        (hub?.onUnobservedFailure ?? writeFailure)(failure)
    }

    private let alternateStack: UnsafeMutableRawPointer?

    /// What to call on the hub's OS thread when it closes, after its green threads have ended; by the object that has asked for it.
    var closers: [ObjectIdentifier: () -> Void] = [:]

    /// The executors of Swift's tasks on this hub, once they were asked for; the layer above makes them.
    var executors: (task: AnyObject, serial: AnyObject)?

    /// The hub of this OS thread, which this call makes if there is none.  Stops the program where the kernel has no descriptor left for it.
    public static var current: Hub { currentThread.scheduler.hub }

    /// The green thread that runs now.
    @inline(__always)
    static var currentThread: GreenThread { Context.running ?? makeOrStop().scheduler.main }

    private init(_ scheduler: Scheduler, alternateStack: UnsafeMutableRawPointer?) {
        self.scheduler = scheduler
        self.alternateStack = alternateStack
    }

    // MARK: Making

    /// Makes the hub of this OS thread now, if it has none, with `count` stacks in store.  Throws where the kernel refuses; a call that needs a hub
    /// would stop the program then, and a `spawn` would fail.
    package static func prepare(stacks count: Int) throws(HubFailure) {
        if Context.running != nil { return }
        let hub = try make()
        do throws(SystemError) { try hub.scheduler.fields.pointee.stacks.stock(count, of: .usual) } catch {
            throw HubFailure("cannot make stacks for the hub: \(error)", error)
        }
    }

    private static func makeOrStop() -> Hub {
        do { return try make() } catch { fatalError("GreenNet: \(error)") }
    }

    private static func make() throws(HubFailure) -> Hub {
        refuseInTask()
        takeSignalsOfParent()
        errno = 0
        guard let loop = EventLoop() else {
            let error = SystemError(errno)
            throw HubFailure("no event loop can be made: is the limit of open descriptors reached?", error)
        }
        var stacks = StackPool()
        let loopThread: GreenThread
        do throws(SystemError) {
            loopThread = try stacks.take(.usual)
        } catch {
            stacks.unmapAll()
            loop.destroy()
            throw HubFailure("cannot make a stack for the hub: \(error)", error)
        }
        HubOwners.enter()
        let scheduler = Scheduler(UnsafeMutablePointer<Scheduler.Fields>.allocate(capacity: 1))
        let hub = Hub(scheduler, alternateStack: Context.watchForOverflow())
        let taskLocals = findTaskWords()
        scheduler.fields.initialize(
            to: Scheduler.Fields(
                loop: loop, alarm: .make(context: scheduler.address, callback: alarmRang), main: makeMainThread(),
                loopThread: loopThread, stacks: stacks,
                settling: .make(context: scheduler.address, callback: settlingRang),
                jobs: JobQueue(of: scheduler, on: loop),
                drainMainQueue: drainMainQueue, describe: { $0.dump() }, taskLocals: taskLocals,
                owner: Unmanaged.passRetained(hub).toOpaque()))
        scheduler.enrol(MainGreenlet(), as: scheduler.main)
        scheduler.begin()
        endWithOSThread(scheduler)
        if LinuxCalls.isMainThread { hub.takeMainOSThread() }
        return hub
    }

    /// Called with each hub that is made on the main OS thread.  Set there, by the layer above.
    nonisolated(unsafe) static var whenMadeOnMain: ((Hub) -> Void)?

    private func takeMainOSThread() {
        // In a task, the runtime's own loop has the main OS thread, and runs the main queue.
        if !TaskWords.runTask { scheduler.ownMainQueue() }
        Hub.whenMadeOnMain?(self)
    }

    private static func findTaskWords() -> Result<TaskLocalLayout, TaskWordsSearch.Failure> {
        let outcome = Result { () throws(TaskWordsSearch.Failure) in try TaskWordsSearch().run() }
        if case .failure(let failure) = outcome, !hasReportedTasks.exchange(true, ordering: .relaxed) {
            writeToStandardError(
                "GreenNet: the green threads of an OS thread share their task-locals: \(failure.reason)\n")
        }
        return outcome
    }

    private static let hasReportedTasks = Atomic(false)

    /// A task goes on on another OS thread of Swift's pool after each `await`, and its hub, with the green threads that it has spawned, would be left behind.  The
    /// process's first OS thread keeps its hub; and an executor that a task has asked for has made its OS threads for that.
    private static func refuseInTask() {
        if OSThreadName.here.isMain { return }
        let isOfPool = withUnsafeCurrentTask { task in task.map { $0.unownedTaskExecutor == nil } ?? false }
        require(
            !isOfPool,
            "a call that needs a hub, in a Swift task on \(OSThreadName.here), which has none: make a hub on an OS thread of its own (HubThread) and write "
                + "`try await remote.run { }`; on a green thread, `awaiting { }` runs async code")
    }

    private static func makeMainThread() -> GreenThread {
        GreenThread(at: .allocate(byteCount: GreenThread.recordSize, alignment: 64))
    }

    // MARK: Running

    /// Waits until every green thread of the hub has ended, except the main one, the caller, and those that were spawned with `isDaemon`, or until `deadline`.
    /// Callable from any green thread of the hub, the main one included.
    ///
    /// Throws `WaitError.blockedForever`, with the list of all waits, where none of the remaining green threads can ever be woken; `.deadlinePassed` where
    /// some are left at `deadline`; and when the caller is killed or an enclosing time limit is over.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func run(until deadline: Deadline = .never) throws(WaitError) {
        let thread = ownThread()
        while scheduler.awaited > (thread == scheduler.main || thread.greenlet.isDaemon ? 0 : 1) {
            if let error = thread.error(after: thread.wait(for: .idle, until: deadline, in: scheduler.idleQueue)) {
                throw error
            }
        }
    }

    /// What the hub can do with the Swift runtime of this program.  To be read on the hub's OS thread; never waits.
    public var capabilities: Capabilities {
        guard case .failure(let failure) = scheduler.fields.pointee.taskLocals else {
            return Capabilities(reasonAgainstTasks: nil)
        }
        return Capabilities(reasonAgainstTasks: failure.reason)
    }

    /// What a hub can do with the Swift runtime of the program.
    public struct Capabilities: Hashable, Sendable {
        /// Whether each green thread has its own task-locals, current task and executor.
        ///
        /// The runtime keeps these for each OS thread, in words that it does not show.  The hub finds them by what they do, when it is made.  Where it can't, the
        /// green threads of the OS thread share them, a line on standard error says so once, and what needs them, such as `awaiting`, throws.
        public var keepsTasksApart: Bool { reasonAgainstTasks == nil }
        /// Why not, in words; nil where `keepsTasksApart`.
        public let reasonAgainstTasks: String?
    }

    /// Counts of one moment.
    public struct Statistics: Hashable, Sendable {
        /// Green threads that have not ended, without the main one.
        public let greenThreads: Int
        /// Stacks that are kept for further green threads, of all sizes.
        public let cachedStacks: Int
    }

    /// How many green threads and stacks the hub has now.  To be read on the hub's OS thread; never waits.
    public var statistics: Statistics {
        checkOwner()
        return Statistics(greenThreads: scheduler.alive, cachedStacks: scheduler.fields.pointee.stacks.cached)
    }

    /// The green threads that have not ended, without the main one, the oldest first.  To be read on the hub's OS thread; never waits.
    ///
    ///     for greenlet in Hub.current.greenThreads where greenlet.name == "worker" { greenlet.kill() }
    public var greenThreads: [AnyGreenlet] {
        checkOwner()
        return scheduler.threads.filter { $0 != scheduler.main && !$0.isIdleRunner }.reversed().map(\.greenlet)
    }

    /// The size of the stacks of green threads that are spawned without a `stackSize`, in bytes; 262,144 (256 KiB) at first.
    ///
    /// 65,536 (64 KiB) to 1,073,741,824 (1 GiB), rounded up to a power of two; any other value stops the program.  It holds for all hubs of the process,
    /// and counts for what is spawned from then on: green threads, members of groups and pools, connections, fibers and generators.  The stack on which a
    /// hub runs its callbacks has the size that is set when the hub is made.  To be set from any OS thread; never waits, and makes no hub.  See <doc:Stacks>.
    public static var defaultStackSize: Int {
        get { StackClass.usual.bytes }
        set { StackClass.usual = StackClass(holding: newValue) }
    }

    /// That of the parent, in a forked child that has made none yet.  Unsafe, but written when the child has one OS thread, and else under the lock.
    nonisolated(unsafe) private static var abandoned: Scheduler?
    private static let abandonedLock = Mutex(())

    /// In a forked child: the hub stays the parent's, and is not used again.
    ///
    /// What only a hub of the child needs waits until it makes one.  Most children make none, and each page that they write to, or whose code they run, costs
    /// them a page fault.
    static func abandon() {
        Scheduler.leaveMainQueue()
        guard let scheduler = Context.running?.scheduler else { return }
        scheduler.fields.pointee.tasks?.abandon()
        abandoned = scheduler
        HubOwners.leaveByFork()
        Context.setRunning(nil)
        ThreadClock.virtualTime = 0
    }

    /// Whether it is the parent's, in a forked child that has made no hub yet.
    static func isAbandoned(_ scheduler: Scheduler) -> Bool { abandonedLock.withLock { _ in abandoned == scheduler } }

    /// libev keeps the owner of each signal for the whole process, and would refuse the parent's to the child's own hub.
    private static func takeSignalsOfParent() {
        abandonedLock.withLock { _ in
            guard let scheduler = abandoned else { return }
            abandoned = nil
            for event in scheduler.signals { event.leave(scheduler.loop) }
        }
    }

    private func stopSignals() { for event in scheduler.signals { event.stop(on: scheduler.loop) } }

    /// Kills all green threads, waits until they have unwound, and frees the hub.  The next call that needs a hub makes a new one.
    ///
    /// Connections and listeners that the program still holds stay open, and can only be closed or released.
    /// To be called from the main green thread, outside of any `withTimeout`, `shielded` and `awaiting`.  An OS thread that ends closes its hub.
    @available(*, noasync, message: "it closes the hub of the OS thread, which async code does not choose")
    public func close() {
        checkOwner()
        require(Context.running == scheduler.main, "Hub.close() is for the OS thread's main green thread")
        let main = scheduler.main
        require(main.scope == nil && main.shields == 0, "Hub.close() in withTimeout or shielded")
        require(
            scheduler.fields.pointee.mainAwaits == 0,
            "Hub.close() inside awaiting: the hub that would be gone runs its body")
        scheduler.fields.pointee.killsNewcomers = true
        scheduler.fields.pointee.jobs.refuseSpawns()
        for greenlet in scheduler.living {
            greenlet.willClose()
            greenlet.stopBeingDaemon()
            greenlet.kill()
            // Inside `shielded`, too: a killed fiber hands over to no other.
            if let thread = greenlet.thread, thread.waitKind == .fiber { thread.wake(.cancelled) }
        }
        do { try run() } catch { fatalError("GreenNet: the hub can't close: \(error)") }
        while let (key, closer) = closers.first {
            closers[key] = nil
            closer()
        }
        scheduler.fields.pointee.tasks?.close()
        scheduler.fields.pointee.bell?.close()
        scheduler.disownMainQueue()
        scheduler.endWatch()
        forgetOSThread()
        scheduler.endLoop()
        scheduler.fields.pointee.jobs.close()
        stopSignals()
        // A socket for which no green thread waits is watched until its next event.  The program may close and release it after the hub.
        scheduler.loop.feignReadability(upTo: scheduler.fields.pointee.lastDescriptor)
        #if DEBUG
        scheduler.loop.verify()
        #endif
        scheduler.strikeOffMain()
        ThreadClock.virtualTime = 0
        Context.unwatchForOverflow(alternateStack)
        HubOwners.leave()
        Context.setRunning(nil)
        scheduler.free()
        Unmanaged.passUnretained(self).release()
    }
}

@available(*, unavailable)
extension Hub: Sendable {}

extension Scheduler {
    var hub: Hub { Unmanaged<Hub>.fromOpaque(fields.pointee.owner).takeUnretainedValue() }
}

/// Why no hub can be made.
package struct HubFailure: Error, CustomStringConvertible {
    package let description: String
    /// What the kernel has answered.
    let cause: SystemError

    fileprivate init(_ description: String, _ cause: SystemError) {
        (self.description, self.cause) = (description, cause)
    }
}

private func writeFailure(_ failure: UnobservedFailure) { writeToStandardError("GreenNet: \(failure)\n") }

func writeToStandardError(_ text: String) {
    var text = text
    text.withUTF8 { bytes in _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
}

// MARK: - The end of an OS thread

/// Closes the hub of an OS thread that ends without having done so.
private let hubKey: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key) { scheduler in
        // In a forked child it may be the parent's.
        guard let scheduler, Context.running?.scheduler.address == scheduler else { return }
        Scheduler(scheduler).hub.close()
    }
    return key
}()

private func endWithOSThread(_ scheduler: Scheduler) { pthread_setspecific(hubKey, scheduler.address) }
private func forgetOSThread() { pthread_setspecific(hubKey, nil) }
