/// The body of an `awaiting`, which keeps its own result.
@usableFromInline
typealias AwaitedBody = nonisolated(nonsending) () async -> Void

/// A stack on which a task rests between two bodies, in the middle of a job: to make a task, or to suspend one, costs several times what it costs to
/// change to its stack.
///
/// The green thread that calls goes on there under its own record, so that all that it is and has stays as it is.
final class CallStack {
    /// The record at the top of the stack, which names no green thread.
    let callee: GreenThread
    /// Keeps what belongs to the caller's own stack meanwhile.
    let caller = GreenThread(at: .allocate(byteCount: GreenThread.recordSize, alignment: 64))
    private let scheduler: Scheduler

    /// Throws where the kernel has no memory for a stack.
    init(_ scheduler: Scheduler) throws(SystemError) {
        self.scheduler = scheduler
        callee = try scheduler.fields.pointee.stacks.take(.usual)
    }

    /// Once it is left for good.
    deinit {
        scheduler.fields.pointee.stacks.give(callee)
        UnsafeMutableRawPointer(caller.record).deallocate()
    }
}

// A task that has run a body waits for the next one.  It runs only bodies that begin as a new task would: with no task-local and no priority of their
// own, and called by a green thread with a stack of the usual size.  For others, and where a task was cancelled, a new one is made.
extension AwaitedTask {
    /// Runs `body`, and waits until it has ended.  Returns the error of the kill or time limit that has cancelled it meanwhile.
    func run(_ body: @escaping AwaitedBody, for caller: GreenThread) -> WaitError? {
        (self.caller, self.body, hasEnded) = (caller, body, false)
        enter()
        let interruption = interruption
        if interruption != nil || task!.isCancelled || !queue.keep(self) { end() } else { self.caller = nil }
        return interruption
    }

    /// At the first call the task begins, and at a later one it goes on.
    @inline(__always)
    private func enter() {
        Context.enterCall(caller!, caller: stack!.caller, callee: stack!.callee)
    }

    func prepare() {
        stack!.callee.body = Unmanaged.passUnretained(self).toOpaque()
        Context.prepare(stack!.callee, entry: callMain)
    }

    /// Has the task, at rest, end, and leaves its stack.
    func end() {
        // Its task keeps it, and ends on the stack that it owns.
        let keeper = Unmanaged.passRetained(self)
        defer { keeper.release() }
        let thread = Hub.currentThread
        (caller, body) = (thread, nil)
        // Where the hub closes, its main green thread may run as a task.
        Context.withoutWords(of: thread) { enter() }
        (caller, task) = (nil, nil)
        tasks.queue.restingTaskEnded()
    }

    // MARK: On its stack

    fileprivate func runTask() {
        hasEnded = false
        let isOver = UnsafeMutablePointer<Bool>.allocate(capacity: 1)
        isOver.initialize(to: false)
        defer { isOver.deallocate() }
        nonisolated(unsafe) let over = isOver
        task = Task(executorPreference: self) {
            await self.serve()
            over.pointee = true
        }
        while true {
            runPieces()
            if isOver.pointee { return }
            waitForPiece()
        }
    }

    private nonisolated(nonsending) func serve() async {
        while body != nil {
            await runBody()
            Context.leaveCall(caller: stack!.caller, callee: stack!.callee)
        }
    }
}

/// The first frame of a call stack.
private let callMain: Context.Entry = { argument in
    let task = Unmanaged<AwaitedTask>.fromOpaque(GreenThread(argument!).body).takeUnretainedValue()
    return returned(from: task).record
}

/// Apart, so that all of it is released before the stack is left.
@inline(never)
private func returned(from task: AwaitedTask) -> GreenThread {
    task.runTask()
    return task.stack!.caller
}

/// What `awaiting` does, whatever the type of its value.
@usableFromInline
func runAwaited(priority: TaskPriority?, _ body: @escaping AwaitedBody) throws -> WaitError? {
    let caller = Hub.currentThread
    let isMain = caller.beginsAwait()
    defer { if isMain { caller.mainEndsAwait() } }
    let canRest = priority == nil && !TaskWords.areHeld && caller.hasUsualStack
    if canRest, let queue = TaskQueue(alreadyOf: caller.scheduler),
        let task = queue.takeAwaitedTask(as: caller.stackClass)
    {
        return task._withUnsafeGuaranteedRef { $0.run(body, for: caller) }
    }
    return try runFirst(canRest, priority, body, for: caller)
}

@inline(never)
private func runFirst(
    _ canRest: Bool, _ priority: TaskPriority?, _ body: @escaping AwaitedBody, for caller: GreenThread
) throws -> WaitError? {
    let tasks = try tasks(of: caller)
    if canRest, let task = tasks.makeResting(caller.scheduler) { return task.run(body, for: caller) }
    return AwaitedTask(tasks).runNew(body, priority, for: caller)
}

/// As `runAwaited`, but returns the error at once, and leaves the task alone.
func runAbandoning(priority: TaskPriority?, _ body: @escaping AwaitedBody) throws -> WaitError? {
    let caller = Hub.currentThread
    let isMain = caller.beginsAwait()
    defer { if isMain { caller.mainEndsAwait() } }
    return AwaitedTask(try tasks(of: caller)).runNew(body, priority, for: caller, abandons: true)
}

// `Hub.close()` must not be called inside: the hub runs the body.
extension GreenThread {
    /// Returns whether it is the main one, which is counted then.
    @inline(__always)
    fileprivate func beginsAwait() -> Bool {
        guard self == scheduler.main else { return false }
        scheduler.fields.pointee.mainAwaits += 1
        return true
    }

    fileprivate func mainEndsAwait() { scheduler.fields.pointee.mainAwaits -= 1 }
}

private func tasks(of caller: GreenThread) throws(AwaitingUnavailable) -> HubTasks {
    let hub = caller.scheduler.hub
    if case .failure(let failure) = caller.scheduler.fields.pointee.taskLocals {
        throw AwaitingUnavailable(reason: failure.reason)
    }
    return hub.executor.tasks
}

extension HubTasks {
    /// Nil where there are enough, or no stack: the caller has one.
    fileprivate func makeResting(_ scheduler: Scheduler) -> AwaitedTask? {
        guard queue.mayMakeResting else { return nil }
        guard let stack = try? CallStack(scheduler) else {
            queue.restingTaskEnded()
            return nil
        }
        let task = AwaitedTask(self, on: stack)
        task.prepare()
        return task
    }
}
