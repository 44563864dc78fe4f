/// The scheduler of one OS thread: the address of its state, raw memory that never moves, so that a switch away leaves no access to a class
/// property open.
///
/// **The path of a byte**, from the kernel to the program:
///
///  1. `Scheduler.schedule`, on the loop's own green thread, finds none ready, and calls
///  2. `EventLoop.waitForEvents`, where
///  3. libev sleeps in epoll_wait, and calls back for the descriptor that is readable:
///  4. `becameReadable` (Net) finds the green thread that waits for the socket;
///  5. `GreenThread.wakeByDescriptor` ends its wait, and
///  6. `ReadyQueue.insertArrival` puts it among the ready ones.
///  7. `Scheduler.schedule` goes on: `switchToNext` takes the first of the ready ones;
///  8. `Context.switchStack` names it the running one, and
///  9. `green_switch` (assembly) exchanges the registers: what follows is on the stack of the woken green thread.
/// 10. `GreenThread.waitHere` returns (`unpark`) to
/// 11. `parkUntilReadable` (Net), that through `waitUntilReadable`, into which the compiler puts both, to
/// 12. `Connection.receive(until:into:)` (Net), which `receiveView` had called and which tries again:
/// 13. `SystemCalls.receive` (Base) is `recv`.
/// 14. `EchoHandler` (EchoServer) has the byte, sends it back, and receives again: from 12 to `GreenThread.waitHere`, `switchToNext` and so to 7 or 1.
///
/// **What may be called from where:**
///
/// - On a green thread, the main one included: everything.  Only there may a call wait.
/// - In a callback of the loop, which runs on the loop's own green thread, and in a job of `JobQueue`: calls that wake and spawn.  A call that waits
///   stops the program.
/// - On the stack of a green thread that ends, once `end(_:)` has given it back: only what leads to the next one, which may take it.
/// - On another OS thread: `JobQueue.send` and `Pulse.count`.  In a signal handler: nothing.
struct Scheduler: Equatable {
    let fields: UnsafeMutablePointer<Fields>

    @inline(__always)
    init(_ fields: UnsafeMutablePointer<Fields>) { self.fields = fields }

    /// Of a callback's context, or of a record.
    @inline(__always)
    init(_ address: UnsafeMutableRawPointer) { fields = address.assumingMemoryBound(to: Fields.self) }

    var address: UnsafeMutableRawPointer { UnsafeMutableRawPointer(fields) }

    /// **Fairness.**  Nothing interrupts a green thread, so calls that need not wait give way now and then all the same:
    ///
    /// - `opsPerTurn` operations in a row are a green thread's turn; then it gives way to all that are ready (`takeTurn`).
    /// - After `switchesPerPoll` switches the loop is polled, though green threads are ready: timers and other descriptors would starve.
    ///   Where more green threads are ready, each of them has its turn before that.
    /// - A turn of n operations counts as n switches: a green thread that only the loop can wake waits for `switchesPerPoll` operations, and not
    ///   for a multiple of them.
    static var opsPerTurn: UInt16 { 16 }
    static var switchesPerPoll: Int { 128 }

    /// What a scheduler keeps.
    struct Fields {
        let loop: EventLoop
        var ready = ReadyQueue()
        /// Of all green threads; `alarm` rings when the earliest has passed.
        var deadlines = DeadlineQueue()
        let alarm: UnsafeMutablePointer<TimerWatcher>
        /// The OS thread's own stack.
        let main: GreenThread
        /// Runs `schedule()` on a stack of its own; switched to where no other is ready.
        let loopThread: GreenThread
        var switchesUntilPoll = 0
        /// When the loop was last looked at: a wait begins then, as far as dumps are concerned.  The clock is not read at each wait: it would
        /// cost as much as a switch.
        var passBegan = Deadline.nowCoarse
        /// Parked green threads that the world outside or a timer can wake.
        var outsideWaits = 0
        /// Green threads that were spawned and have not ended.
        var alive = 0
        /// Those of them that `Hub.run()` does not wait for.
        var daemons = 0
        /// The youngest green thread that has not ended; the others follow through `older`.
        var youngest: GreenThread?
        var lastID: UInt64 = 0
        /// Green threads that wait for a call of `stopServing`.
        var serving = WaitQueue.Ends()
        /// The call came when no green thread waited for it.
        var isStopPending = false
        /// Green threads that wait for `alive` to become 0.
        var idle = WaitQueue.Ends()
        var stacks = StackPool()
        /// Rings when stacks have been free for a while.
        let settling: UnsafeMutablePointer<TimerWatcher>
        /// The youngest green thread when it was started.
        var lastSettledID: UInt64 = 0
        /// The highest descriptor that a socket of the hub ever had.
        var lastDescriptor: Int32 = -1
        /// From other OS threads.
        var jobs: JobQueue
        var spin = Spin()
        /// The signals that the hub's watchers hold.
        var signals: ContiguousArray<UnsafeMutablePointer<SignalEvent>> = []
        /// The hub closes: what its green threads spawn while they unwind is killed before it begins.
        var killsNewcomers = false
        /// All have ended, and `schedule()` shall return.
        var isClosing = false
        var passes: UInt64 = 0
        /// Set when a deadlock was found, for the error of the green thread that is woken by it.
        var deadlock: BlockedForever?
        /// Named by a fiber that ends: runs next, and is neither parked nor in the ready queue.
        var successor: GreenThread?
        /// Nil where no other OS thread watches the hub.
        var watch: Watch?
        /// Nil unless time is virtual.
        var virtualTime: VirtualTime?
        /// The green thread that runs the jobs of Swift's tasks now, one after the other; nil: none does.
        var taskRunner: GreenThread?
        /// Bodies of `awaiting` that the main green thread is inside of.
        var mainAwaits = 0
        /// Nil until a task's executor was asked for.
        var tasks: TaskSupport?
        /// Nil until a green thread has waited for another process.
        var bell: BellSupport?

        var mainQueue = MainQueue()

        // What the layers above keep here, and hooks for them.

        /// Calls `runMainQueue` on a new green thread.
        let drainMainQueue: (Scheduler) -> Void

        /// One buffer for all connections to receive into.
        var receiveBuffer = SharedBuffer(size: 64 << 10)
        /// For the state of sockets.
        var spareSockets = SpareMemory.unlessWatched()
        /// Called with what `Socket.rest` is, where its connection is to go on; nil until one rests.
        var restEnded: (@Sendable (UnsafeMutableRawPointer) -> Void)?
        /// For bytes on their way from one connection to another.
        var pipes = PipePool()
        /// What is kept of descriptors that C libraries wait for.
        var foreignDescriptors = DescriptorTable()
        /// Called with each green thread that is spawned.
        var onSpawn: ((GreenThread) -> Void)?
        /// Watches the order of locks.
        var lockOrder: LockOrder?
        /// Describes all green threads, for the error that a deadlock ends with.
        let describe: (Scheduler) -> String
        /// How task-locals are found, for green threads that inherit them; or why tasks are not kept apart.
        let taskLocals: Result<TaskLocalLayout, TaskWordsSearch.Failure>
        /// The hub, retained until it closes.
        let owner: UnsafeMutableRawPointer
    }

    // MARK: What others use

    var loop: EventLoop { fields.pointee.loop }
    var main: GreenThread { fields.pointee.main }
    var loopThread: GreenThread { fields.pointee.loopThread }

    var alive: Int {
        get { fields.pointee.alive }
        nonmutating set { fields.pointee.alive = newValue }
    }

    var signals: ContiguousArray<UnsafeMutablePointer<SignalEvent>> {
        get { fields.pointee.signals }
        nonmutating set { fields.pointee.signals = newValue }
    }

    /// Raw memory: a copy would be another buffer's.
    var receiveBuffer: UnsafeMutablePointer<SharedBuffer> {
        withUnsafeMutablePointer(to: &fields.pointee.receiveBuffer) { $0 }
    }

    var servingQueue: WaitQueue { withUnsafeMutablePointer(to: &fields.pointee.serving) { WaitQueue($0) } }

    var idleQueue: WaitQueue { withUnsafeMutablePointer(to: &fields.pointee.idle) { WaitQueue($0) } }

    func noteDescriptor(_ descriptor: Int32) {
        fields.pointee.lastDescriptor = max(fields.pointee.lastDescriptor, descriptor)
    }

    /// `thread` runs next, ahead of all that are ready, when the running green thread has ended.
    func setSuccessor(_ thread: GreenThread) { fields.pointee.successor = thread }

    /// Before a wait: fetches what the next green threads will touch.
    @inline(__always)
    func prefetchNext() { fields.pointee.ready.prefetch() }

    func nextID() -> UInt64 {
        fields.pointee.lastID += 1
        return fields.pointee.lastID
    }

    // MARK: Running

    /// Leaves `thread`, which has set its state, for the next one that is ready.  Returns when `thread`'s turn has come again.
    @inline(__always)
    func switchToNext(from thread: GreenThread) {
        let next = nextToRun()
        next.state = .running
        if next != thread { Context.switchStack(from: thread, to: next) }
    }

    @inline(__always)
    private func nextToRun() -> GreenThread {
        guard fields.pointee.switchesUntilPoll > 0, let next = fields.pointee.ready.popFirst() else {
            return loopThread
        }
        fields.pointee.switchesUntilPoll -= 1
        return next
    }

    /// The hub's own loop: runs what is ready, then asks the kernel what else is.  Returns when the hub closes.
    private func schedule() {
        while !fields.pointee.isClosing {
            beginPass()
            switchToNext(from: loopThread)
            if fields.pointee.stacks.hasMuch { lookAfterStacks() }
            lookAtMainQueue()
            if !fields.pointee.ready.isEmpty || fields.pointee.stacks.needsTrimming {
                if fields.pointee.virtualTime != nil { tick() }
                pollEvents()
            } else if fields.pointee.isClosing {
                return
            } else if fields.pointee.virtualTime != nil, jumpAhead() {
                continue
            } else if canBeWoken {
                waitForEvents()
            } else if hasMainQueueJob() {
                continue
            } else {
                reportDeadlock()
            }
            verifyNowAndThen()
        }
    }

    private func beginPass() {
        fields.pointee.switchesUntilPoll = max(Scheduler.switchesPerPoll, fields.pointee.ready.count)
        fields.pointee.passBegan = .nowCoarse
        if fields.pointee.virtualTime != nil { beginVirtualPass() }
        fields.pointee.watch?.pulse.run()
    }

    func pollEvents() {
        fields.pointee.ready.beginArrivals()
        loop.pollEvents()
    }

    private func waitForEvents() {
        if fields.pointee.spin.waiters > 0, Spin.isPossible, fields.pointee.virtualTime == nil {
            waitForJobs()
        } else {
            sleepUntilEvents()
        }
    }

    /// As `waitForEvents`, where a green thread waits for other OS threads.
    private func waitForJobs() {
        let begin = Deadline.now
        if fields.pointee.spin.isDue {
            let areFound = fields.pointee.jobs.appear()
            if fields.pointee.spin.ended(found: areFound) { return fields.pointee.jobs.run() }
        }
        fields.pointee.spin.jobsCame = false
        sleepUntilEvents()
        fields.pointee.spin.slept(for: .now - begin)
    }

    private func sleepUntilEvents() {
        fields.pointee.watch?.pulse.sleep()
        fields.pointee.ready.beginArrivals()
        let due = fields.pointee.alarm.pointee.due
        if due - fields.pointee.passBegan < Scheduler.near, loop.isPrecise, fields.pointee.virtualTime == nil {
            let now = Deadline.now
            // Thousands of sleepers whose moments are a microsecond apart are woken together.
            loop.nap(until: due <= now ? due : max(due, now + Scheduler.leastNap))
        } else {
            loop.waitForEvents()
        }
    }

    /// For a deadline that is further away, what libev is late by, up to a millisecond, is less than a tenth.
    private static let near = Duration.milliseconds(10)
    private static let leastNap = Duration.microseconds(50)

    private func verifyNowAndThen() {
        #if DEBUG
        fields.pointee.passes &+= 1
        if fields.pointee.passes % 256 == 0 { loop.verify() }
        #endif
    }

    // MARK: Deadlock

    /// A handle that another OS thread may hold can be used at any time.
    private var canBeWoken: Bool {
        fields.pointee.outsideWaits > 0 || !isKnownUniquelyReferenced(&fields.pointee.jobs)
            || fields.pointee.tasks.map { $0.canBeWoken() } ?? false
            || fields.pointee.mainQueue.hasRun && ProcessThreads.areSeveral
    }

    /// The main green thread is parked, or its stack would run and not this one.
    private func reportDeadlock() {
        fields.pointee.deadlock = BlockedForever(waiting: fields.pointee.describe(self))
        main.wake(.blockedForever)
    }

    // MARK: The green threads

    /// Makes the blank record of `thread` one of this scheduler's.
    func add(_ thread: GreenThread) {
        thread.id = nextID()
        thread.scheduler = self
        thread.deadline = .never
        thread.scopeDeadline = .never
        thread.older = fields.pointee.youngest
        fields.pointee.youngest?.younger = thread
        fields.pointee.youngest = thread
    }

    private func remove(_ thread: GreenThread) {
        let (younger, older) = (thread.younger, thread.older)
        if let younger { younger.older = older } else { fields.pointee.youngest = older }
        older?.younger = younger
        thread.freeName()
        thread.forgetDeadline()
    }

    /// All that have not ended, the youngest first.
    var threads: [GreenThread] {
        sequence(first: fields.pointee.youngest) { $0?.older }.prefix { $0 != nil }.map { $0! }
    }

    /// On the stack of the green thread that ends, which nothing touches any more once the next one runs.  Returns that one.
    func end(_ thread: GreenThread) -> GreenThread {
        thread.joiners.wakeAll()
        remove(thread)
        thread.state = .ended
        discount()
        fields.pointee.stacks.give(thread)
        return takeSuccessor()
    }

    /// One of those that `alive` counts has ended, or has nothing to do.
    func discount() {
        alive -= 1
        if awaited <= 1 { idleQueue.wakeAll() }
    }

    /// One of those that `alive` counts is a daemon from now on.
    func addDaemon() {
        fields.pointee.daemons += 1
        if awaited <= 1 { idleQueue.wakeAll() }
    }

    /// How many green threads `Hub.run()` waits for, the caller too.
    var awaited: Int { fields.pointee.alive - fields.pointee.daemons }

    private func takeSuccessor() -> GreenThread {
        let next = fields.pointee.successor ?? nextToRun()
        fields.pointee.successor = nil
        next.state = .running
        Context.setRunning(next)
        return next
    }

    // MARK: The beginning and the end

    /// The OS thread that calls runs on `main` from now on; `add` has had it.
    func begin() {
        main.state = .running
        main.setStarted()
        Context.adoptOSThread(main)
        Context.setRunning(main)
        loopThread.scheduler = self
        Context.prepare(loopThread, entry: loopMain)
    }

    /// The stack of the loop's green thread is left by returning from `schedule()`, as every stack is.
    func endLoop() {
        fields.pointee.isClosing = true
        Context.switchStack(from: main, to: loopThread)
    }

    /// Once the loop has ended, and no watcher needs it any more.
    func free() {
        remove(main)
        UnsafeMutableRawPointer(main.record).deallocate()
        fields.pointee.stacks.give(loopThread)
        fields.pointee.stacks.unmapAll()
        fields.pointee.receiveBuffer.free()
        fields.pointee.spareSockets.free()
        fields.pointee.pipes.closeAll()
        fields.pointee.deadlines.free()
        fields.pointee.alarm.free(on: loop)
        fields.pointee.settling.free(on: loop)
        loop.destroy()
        fields.pointee.foreignDescriptors.free()
        fields.deinitialize(count: 1)
        fields.deallocate()
    }

    fileprivate func runLoop() -> GreenThread {
        schedule()
        Context.setRunning(main)
        return main
    }
}

private let loopMain: Context.Entry = { argument in GreenThread(argument!).scheduler.runLoop().record }

extension GreenThread {
    /// Lets every other ready green thread run first.  `operations`: how many the turn that ends had, for `Scheduler`'s rules of fairness.
    func giveWay(after operations: Int = 0) {
        scheduler.fields.pointee.switchesUntilPoll -= operations
        opsSinceWait = 0
        state = .ready
        scheduler.fields.pointee.ready.append(self)
        scheduler.switchToNext(from: self)
    }

    /// Counts an operation that need not wait.  At the end of its turn the green thread gives way, and throws where it was killed or its time is over.
    @inline(__always)
    func takeTurn() throws(WaitError) {
        opsSinceWait += 1
        guard opsSinceWait >= Scheduler.opsPerTurn || isCancelled else { return }
        try endTurn()
    }

    @inline(never)  // Once for many operations, whose callers stay small.
    private func endTurn() throws(WaitError) {
        giveWay(after: Int(Scheduler.opsPerTurn))
        try throwIfInterrupted()
    }
}
