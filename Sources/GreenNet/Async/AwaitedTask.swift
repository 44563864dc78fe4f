internal import CSwitch
@_spi(ExperimentalScheduling) import _Concurrency

/// A task that runs the body of an `awaiting`, and is the executor that the task prefers.  So each piece of the task, from one suspension to the next, comes here,
/// and the green thread that waits runs it; a piece of a child task goes to the hub.
final class AwaitedTask: TaskExecutor, @unchecked Sendable {
    // All of it is touched on the hub's OS thread only.

    let tasks: HubTasks
    let queue: TaskQueue
    var task: Task<Void, Never>?
    /// That of the task, by which its pieces are recognised; nil before the first comes.
    private var address: UnsafeMutableRawPointer?
    /// Nil where no green thread waits for the body under way: it was abandoned.
    var caller: GreenThread?
    private var callerWaits = false
    /// The next piece of the task, for the caller to run.
    private var piece: UnownedJob?
    var body: AwaitedBody?
    /// The body has.
    var hasEnded = false
    /// The kill or time limit that has cancelled the task.
    var interruption: WaitError?
    /// Nil where the task runs on the caller's stack.
    let stack: CallStack?
    /// Among the tasks at rest, each of which its own task keeps.
    var next: Unmanaged<AwaitedTask>?

    init(_ tasks: HubTasks, on stack: CallStack? = nil) {
        (self.tasks, queue, self.stack) = (tasks, tasks.queue, stack)
    }

    /// As a task of its own, on the stack of `caller`: with the task-locals that are bound here.
    func runNew(
        _ body: @escaping AwaitedBody, _ priority: TaskPriority?, for caller: GreenThread, abandons: Bool = false
    ) -> WaitError? {
        (self.caller, self.body) = (caller, body)
        TaskWords.asTask {
            task = Task.immediate(priority: priority, executorPreference: self) {
                self.address = swift_task_getCurrent()
                await self.runBody()
            }
        }
        runPieces()
        while !hasEnded, !(abandons && interruption != nil) {
            waitForPiece()
            runPieces()
        }
        (self.caller, task) = (nil, nil)
        return interruption
    }

    // MARK: On the green thread that waits

    /// A kill or a time limit cancels the task, which then has to end.
    func waitForPiece() {
        guard let error = park() else { return }
        if interruption == nil {
            interruption = error
            task!.cancel()
        }
    }

    private func park() -> WaitError? {
        callerWaits = true
        defer { callerWaits = false }
        let caller = caller!
        func park() -> WaitError? { caller.error(after: caller.wait(for: .async)) }
        return interruption == nil ? park() : shielded(park)
    }

    func runPieces() {
        while let next = piece {
            piece = nil
            TaskWords.asTask { next.runSynchronously(on: asUnownedTaskExecutor()) }
        }
    }

    // MARK: In the task

    nonisolated(nonsending) func runBody() async {
        let body = body!
        self.body = nil
        await body()
        hasEnded = true
        if callerWaits { caller?.wake(.event) }
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
