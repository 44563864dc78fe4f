internal import CSwitch
@_spi(ExperimentalScheduling) import _Concurrency

/// A task that runs the bodies of `awaiting`, one after the other, each on the stack of the green thread that awaits it.
///
/// To make a task costs several times what it costs to resume one, so a task that has run a body waits for the next one.  It runs only bodies that begin
/// as a new task would: with no task-local and no priority of their own.  For others, and where a task was cancelled, a new one is made.
///
/// It is the executor that its task prefers.  So a piece of the task comes here, and goes to the green thread; a piece of a child task goes to the hub.
final class AwaitedTask: TaskExecutor, @unchecked Sendable {
    // All of it is touched on the hub's OS thread only.

    private let tasks: HubTasks
    private var task: Task<Void, Never>?
    /// That of the task, by which its pieces are recognised; nil before the first comes.
    private var address: UnsafeMutableRawPointer?
    /// Nil where no green thread waits for the body under way: it was abandoned.
    private var caller: GreenThread?
    private var callerWaits = false
    /// The next piece of the task, for the caller to run.
    private var piece: UnownedJob?
    private var body: (() async -> Void)?
    private var hasEnded = false
    /// By which the task, at rest, is resumed.
    private var rest: UnsafeContinuation<Void, Never>?
    /// Among the tasks at rest.
    var next: AwaitedTask?

    private init(_ tasks: HubTasks) { self.tasks = tasks }

    // MARK: The call

    /// Runs `body`, and waits until it has ended.  Returns the error of the kill or time limit that has cancelled it meanwhile.
    static func run(priority: TaskPriority?, _ body: @escaping () async -> Void) throws -> WaitError? {
        let caller = Hub.currentThread
        let tasks = try tasks(of: caller)
        if priority != nil || TaskWords.areHeld { return AwaitedTask(tasks).runNew(body, priority, for: caller) }
        let task = tasks.queue.takeAwaitedTask() ?? atRest(tasks, caller)
        return task.run(body, for: caller)
    }

    /// As `run`, but returns the error at once, and leaves the task alone.
    static func runAbandoning(priority: TaskPriority?, _ body: @escaping () async -> Void) throws -> WaitError? {
        let caller = Hub.currentThread
        return AwaitedTask(try tasks(of: caller)).runNew(body, priority, for: caller, abandons: true)
    }

    private static func tasks(of caller: GreenThread) throws(AwaitingUnavailable) -> HubTasks {
        let hub = caller.scheduler.hub
        if let reason = hub.capabilities.reasonAgainstTasks { throw AwaitingUnavailable(reason: reason) }
        return hub.executor.tasks
    }

    private static func atRest(_ tasks: HubTasks, _ caller: GreenThread) -> AwaitedTask {
        let made = AwaitedTask(tasks)
        made.caller = caller
        made.task = Task(executorPreference: made) { await made.serve() }
        made.runPieces()
        return made
    }

    private func run(_ body: @escaping () async -> Void, for caller: GreenThread) -> WaitError? {
        (self.caller, self.body, hasEnded) = (caller, body, false)
        rest!.resume()
        let interruption = waitForEnd()
        if interruption != nil || !tasks.queue.keep(self) { end() }
        return interruption
    }

    /// As a task of its own: with the task-locals that are bound here.
    private func runNew(
        _ body: @escaping () async -> Void, _ priority: TaskPriority?, for caller: GreenThread, abandons: Bool = false
    ) -> WaitError? {
        (self.caller, self.body) = (caller, body)
        TaskWords.asTask {
            task = Task.immediate(priority: priority, executorPreference: self) {
                self.address = swift_task_getCurrent()
                await self.runBody()
            }
        }
        return waitForEnd(abandons: abandons)
    }

    private func waitForEnd(abandons: Bool = false) -> WaitError? {
        var interruption: WaitError?
        runPieces()
        while !hasEnded {
            if let error = park(shielded: interruption != nil), interruption == nil {
                interruption = error
                task!.cancel()
                if abandons { break }
            }
            runPieces()
        }
        caller = nil
        return interruption
    }

    private func park(shielded isShielded: Bool) -> WaitError? {
        callerWaits = true
        defer { callerWaits = false }
        let caller = caller!
        func park() -> WaitError? { caller.error(after: caller.wait(for: .async)) }
        return isShielded ? shielded(park) : park()
    }

    private func runPieces() {
        while let next = piece {
            piece = nil
            TaskWords.asTask { next.runSynchronously(on: asUnownedTaskExecutor()) }
        }
    }

    // MARK: The task

    private func serve() async {
        while true {
            await withUnsafeContinuation { rest = $0 }
            if body == nil { return }
            await runBody()
        }
    }

    private func runBody() async {
        let body = body!
        self.body = nil
        await body()
        hasEnded = true
        if callerWaits { caller?.wake(.event) }
    }

    /// Has the task at rest end.
    func end() {
        caller = Hub.currentThread
        rest!.resume()
        runPieces()
    }

    // MARK: Its pieces

    func enqueue(_ job: consuming ExecutorJob) { enqueue(UnownedJob(job)) }
    func enqueue(_ job: UnownedJob) { tasks.enqueue(entry(job)) }

    private func entry(_ job: UnownedJob) -> TaskJob {
        let isOwn = address == nil || address == unsafeBitCast(job, to: UnsafeMutableRawPointer.self)
        return TaskJob(job: job, of: isOwn ? self : nil)
    }

    /// On the hub's OS thread.  Returns false where no green thread waits for the task.
    func take(_ job: UnownedJob) -> Bool {
        if address == nil { address = unsafeBitCast(job, to: UnsafeMutableRawPointer.self) }
        guard let caller else { return false }
        piece = job
        if callerWaits { caller.wake(.event) }
        return true
    }
}

@_spi(ExperimentalScheduling)
extension AwaitedTask: SchedulingExecutor {
    func enqueue<C: Clock>(_ job: consuming ExecutorJob, after delay: C.Duration, tolerance: C.Duration?, clock: C) {
        tasks.enqueue(entry(UnownedJob(job)), after: duration(delay, of: clock))
    }

    func enqueue<C: Clock>(_ job: consuming ExecutorJob, at instant: C.Instant, tolerance: C.Duration?, clock: C) {
        enqueue(job, after: clock.now.duration(to: instant), tolerance: tolerance, clock: clock)
    }
}
