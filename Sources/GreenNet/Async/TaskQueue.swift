/// A piece of a task, from one suspension to the next.
struct TaskJob {
    let job: UnownedJob
    /// It belongs to an actor of the hub's serial executor, and can run nowhere else.
    let isSerial: Bool
    /// The task is that of an `awaiting`, whose green thread runs it; the task holds the reference.
    let awaited: Unmanaged<AwaitedTask>?

    init(job: UnownedJob, isSerial: Bool = false, of awaited: AwaitedTask? = nil) {
        (self.job, self.isSerial, self.awaited) = (job, isSerial, awaited.map(Unmanaged.passUnretained))
    }
}

/// The jobs of Swift's tasks on a hub, and the green threads that run them.
///
/// A *runner* runs the jobs one after the other, in the order in which they came.  Where a job calls something that waits, its green thread parks, and
/// another runner goes on with the other jobs; the first, when its wait is over, ends its job and becomes the runner again or rests.  A runner without a
/// job rests, parked, for the next one.  Resting runners are no green threads of the program: neither `Hub.run` nor a dump counts them.
///
/// One of the resting runners wakes when the earliest of the timers is due: so there need not be a timer of the loop, and virtual time holds.
///
/// The address of raw memory, as `Scheduler` is.  All of it belongs to the hub's OS thread.
struct TaskQueue {
    /// Jobs in a row before the other green threads have a turn.
    static var jobsPerTurn: Int { 64 }
    /// To wake a runner costs a sixth of what it costs to spawn one, but each keeps a stack.
    static var restingLimit: Int { 8 }

    struct Fields: ~Copyable {
        var scheduler: Scheduler
        /// What actors name as their executor.
        var serial = UnownedSerialExecutor.generic
        var ready = Ring<TaskJob>()
        /// Tasks that wait for the body of the next `awaiting`.
        var atRest: Unmanaged<AwaitedTask>?
        /// All that can rest, those at work too.
        var restingTasks = 0
        var timers = TaskTimers()
        var resting = WaitQueue.Ends()
        var restingCount = 0
        /// The resting runner that wakes when the earliest timer is due.
        var timekeeper: GreenThread?
        /// Runners shall end, and not rest.
        var isClosing = false
    }

    let fields: UnsafeMutablePointer<Fields>

    init(of scheduler: Scheduler) {
        fields = .allocate(capacity: 1)
        fields.initialize(to: Fields(scheduler: scheduler))
    }

    /// That of the scheduler's hub; nil before the first task.
    @inline(__always)
    init?(alreadyOf scheduler: Scheduler) {
        guard let tasks = scheduler.fields.pointee.tasks else { return nil }
        fields = tasks.address.assumingMemoryBound(to: Fields.self)
    }

    func free() {
        fields.deinitialize(count: 1)
        fields.deallocate()
    }

    var address: UnsafeMutableRawPointer { UnsafeMutableRawPointer(fields) }

    var serial: UnownedSerialExecutor {
        get { fields.pointee.serial }
        nonmutating set { fields.pointee.serial = newValue }
    }

    private var scheduler: Scheduler { fields.pointee.scheduler }

    private var resting: WaitQueue { withUnsafeMutablePointer(to: &fields.pointee.resting) { WaitQueue($0) } }

    // MARK: The hub

    func attach(to scheduler: Scheduler) {
        fields.pointee.scheduler = scheduler
        fields.pointee.isClosing = false
    }

    /// Runs the jobs that a hub before has left.
    func resume() { if hasWork, scheduler.fields.pointee.taskRunner == nil { startRunner() } }

    /// Drops all jobs.  The runners are gone, as all green threads of a parent are in a forked child.
    func forget() {
        removeAll { _, _ in }
        (fields.pointee.resting, fields.pointee.restingCount) = (WaitQueue.Ends(), 0)
        fields.pointee.timekeeper = nil
        (fields.pointee.atRest, fields.pointee.restingTasks) = (nil, 0)
    }

    // MARK: What comes

    @inline(__always)
    func add(_ job: TaskJob) {
        if fields.pointee.timers.haveSleepers { endSleep(of: job) }
        if let awaited = job.awaited, awaited.takeUnretainedValue().take(job.job) { return }
        fields.pointee.ready.append(job)
        if scheduler.fields.pointee.taskRunner == nil { startRunner() }
    }

    /// `sleeper`: the task that sleeps until then, where it is known.
    func add(_ job: TaskJob, due: Deadline, for sleeper: UnsafeRawPointer?) {
        fields.pointee.timers.insert(job, due: due, for: sleeper)
        // A runner at work will see to it.
        if scheduler.fields.pointee.taskRunner != nil { return }
        if due < fields.pointee.timekeeper?.deadline ?? .never { startRunner() }
    }

    /// A task that goes on before its sleep is over was cancelled.  The job that would have ended the sleep only frees memory then, and runs now: else thousands
    /// of them could wait for hours.
    @inline(never)  // Rare, but where tasks sleep.
    private func endSleep(of job: TaskJob) {
        let task = unsafeBitCast(job.job, to: UnsafeRawPointer.self)
        if let end = fields.pointee.timers.removeEnd(of: task) { add(end) }
    }

    /// Takes all jobs out: `body` is called with the moment of each that has one.
    func removeAll(_ body: (TaskJob, Deadline?) -> Void) {
        while let job = fields.pointee.ready.popFirst() { body(job, nil) }
        while let (job, due) = fields.pointee.timers.popFirst(until: .never) { body(job, due) }
    }

    // MARK: Tasks of awaiting

    /// How many tasks are made that rest between two bodies.  Each has a stack, and where ten thousand green threads await at once, those need one each.
    static var restingTaskLimit: Int { 256 }

    var mayMakeResting: Bool {
        guard fields.pointee.restingTasks < TaskQueue.restingTaskLimit, !fields.pointee.isClosing else { return false }
        fields.pointee.restingTasks += 1
        return true
    }

    /// One with a stack of `size`.  Others were made before `Hub.defaultStackSize` was set; they end.
    @inline(__always)
    func takeAwaitedTask(as size: StackClass) -> Unmanaged<AwaitedTask>? {
        while let task = takeAwaitedTask() {
            if task._withUnsafeGuaranteedRef({ $0.stack!.callee.stackClass }) == size { return task }
            task.takeUnretainedValue().end()
        }
        return nil
    }

    @inline(__always)
    func takeAwaitedTask() -> Unmanaged<AwaitedTask>? {
        guard let task = fields.pointee.atRest else { return nil }
        fields.pointee.atRest = task._withUnsafeGuaranteedRef { $0.next }
        return task
    }

    /// Returns false where the hub closes.
    @inline(__always)
    func keep(_ task: AwaitedTask) -> Bool {
        guard !fields.pointee.isClosing else { return false }
        task.next = fields.pointee.atRest
        fields.pointee.atRest = Unmanaged.passUnretained(task)
        return true
    }

    func restingTaskEnded() { fields.pointee.restingTasks -= 1 }

    // MARK: Runners

    @inline(never)
    private func startRunner() {
        guard let runner = fields.pointee.timekeeper ?? resting.last else { return spawnRunner() }
        scheduler.fields.pointee.taskRunner = runner
        rouse(runner, .event)
    }

    /// Ends the rest of `runner`, and counts it again.  The timekeeper may be ready, because its time has come, and not counted yet.
    private func rouse(_ runner: GreenThread, _ reason: Wake) {
        scheduler.alive += 1
        if runner.state == .parked { runner.wake(reason) } else { runner.wakeReason = reason }
    }

    private func spawnRunner() {
        let runner = TaskRunner(self)
        do throws(SpawnError) {
            try scheduler.startUnseen(runner)
        } catch {
            fatalError("GreenNet: the jobs of tasks can't run: \(error)")
        }
        let thread = runner.thread!
        if scheduler.fields.pointee.killsNewcomers { thread.setKilled() }
        scheduler.fields.pointee.taskRunner = thread
    }

    /// In the middle of a job.
    func runnerParks() {
        if let reason = scheduler.hub.capabilities.reasonAgainstTasks {
            programmingError("a task's job calls what waits, and green threads share their task here: \(reason)")
        }
        scheduler.fields.pointee.taskRunner = nil
        if hasWork { startRunner() }
    }

    /// For tests.
    var timerCount: Int { fields.pointee.timers.count }

    private var hasWork: Bool { !fields.pointee.ready.isEmpty || fields.pointee.timers.count > 0 }

    /// The hub closes.  `Hub.run()` then waits for their end.
    func endRunners() {
        fields.pointee.isClosing = true
        if let runner = fields.pointee.timekeeper { rouse(runner, .closed) }
        while let runner = resting.first { rouse(runner, .closed) }
    }

    // MARK: On a runner

    /// A kill is felt in jobs only: the runner itself waits as if in `shielded`.
    fileprivate func runJobs(_ me: GreenThread) {
        me.shields = 1
        repeat {
            runTurns(me)
        } while rest(me)
    }

    /// Until no job is left, or another runner has taken over.
    private func runTurns(_ me: GreenThread) {
        var left = TaskQueue.jobsPerTurn
        while scheduler.fields.pointee.taskRunner == me, !hasBeenKilled(me), let job = fields.pointee.ready.popFirst() {
            run(job, me)
            // It has parked meanwhile.
            if scheduler.fields.pointee.taskRunner == nil { scheduler.fields.pointee.taskRunner = me }
            left -= 1
            if left == 0 {
                left = TaskQueue.jobsPerTurn
                if isLastOfClosingHub { return runLastJobs(me) }
                me.giveWay()
                takeDueTimers()
            }
        }
    }

    @inline(__always)
    private func run(_ job: TaskJob, _ me: GreenThread) {
        me.shields = 0
        let executor = job.isSerial ? fields.pointee.serial : .generic
        TaskWords.asTask { job.job.runSynchronously(on: executor) }
        me.shields = 1
        // They are of the green thread that has run the job, and the next job may be of another task.
        if _slowPath(!me.greenlet.locals.isEmpty) { me.greenlet.forgetLocals() }
    }

    /// Tasks that never end must not keep a hub from closing.
    private var isLastOfClosingHub: Bool { scheduler.fields.pointee.killsNewcomers && scheduler.alive == 1 }

    private func runLastJobs(_ me: GreenThread) {
        fields.pointee.isClosing = true
        for _ in 0..<fields.pointee.ready.count { run(fields.pointee.ready.removeFirst(), me) }
    }

    private func takeDueTimers() {
        guard fields.pointee.timers.count > 0 else { return }
        let now = Deadline.now
        while let (job, _) = fields.pointee.timers.popFirst(until: now) { add(job) }
    }

    /// Waits for the next job.  Returns false where the runner shall end.
    private func rest(_ me: GreenThread) -> Bool {
        if scheduler.fields.pointee.taskRunner == me { scheduler.fields.pointee.taskRunner = nil }
        if isDismissed(me) || fields.pointee.restingCount >= TaskQueue.restingLimit {
            let isNeeded = !fields.pointee.isClosing && scheduler.fields.pointee.taskRunner == nil && hasWork
            if isNeeded { startRunner() }
            return false
        }
        park(me)
        if scheduler.fields.pointee.taskRunner == nil { scheduler.fields.pointee.taskRunner = me }
        takeDueTimers()
        return true
    }

    /// A green thread that the program has killed stays killed, in all jobs that it would run.
    private func isDismissed(_ me: GreenThread) -> Bool {
        fields.pointee.isClosing || hasBeenKilled(me)
    }

    /// By the program, and not because the hub closes.
    private func hasBeenKilled(_ me: GreenThread) -> Bool {
        me.isKilled && !scheduler.fields.pointee.killsNewcomers
    }

    private func park(_ me: GreenThread) {
        let due = fields.pointee.timers.earliest ?? .never
        let isTimekeeper = due < fields.pointee.timekeeper?.deadline ?? .never
        if isTimekeeper { fields.pointee.timekeeper = me }
        fields.pointee.restingCount += 1
        scheduler.discount()
        let wake = me.wait(for: .job, until: isTimekeeper ? due : .never, in: resting)
        fields.pointee.restingCount -= 1
        if fields.pointee.timekeeper == me { fields.pointee.timekeeper = nil }
        // Otherwise `rouse` has.
        if wake == .deadline { scheduler.alive += 1 }
    }
}

extension UnownedSerialExecutor {
    /// None: what is not isolated runs on it.
    static var generic: UnownedSerialExecutor { unsafeBitCast((0, 0), to: UnownedSerialExecutor.self) }
}

/// A green thread that runs the jobs of tasks.
private final class TaskRunner: AnyGreenlet {
    private let queue: TaskQueue

    init(_ queue: TaskQueue) { self.queue = queue }

    override var name: String? { "tasks" }
    override func run() { queue.runJobs(thread!) }
}
