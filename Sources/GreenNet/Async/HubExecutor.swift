@_spi(ExperimentalScheduling) import _Concurrency

/// Runs Swift's tasks on the OS thread of a hub: `Task(executorPreference: Hub.current.executor) { ... }`.
///
/// Jobs of tasks run on green threads, so async code may call what waits: wrap such a call in `parking`.  Jobs run in the order in which they came; after
/// 64 of them the hub's other green threads have a turn.  `Task.sleep` needs neither another OS thread nor a stack, and runs in the hub's time,
/// virtual time included.
///
/// `Hub.run()` waits for jobs that run, and not for tasks that are suspended.  When the hub closes, the jobs that are ready run first, as killed green
/// threads do; tasks that are suspended then go on where Swift's global executor runs them.
///
/// While another object than the hub refers to the executor and the process has other OS threads, `WaitError.blockedForever` is not thrown.  A task that
/// `awaiting(abandoning:)` has left behind is no such object.
public final class HubExecutor: TaskExecutor, Sendable {
    let tasks: HubTasks

    init(_ tasks: HubTasks) { self.tasks = tasks }

    /// Called by Swift's runtime, on any OS thread.
    public func enqueue(_ job: UnownedJob) { tasks.enqueue(TaskJob(job: job, isSerial: false)) }

    /// Called by Swift's runtime, on any OS thread.
    public func enqueue(_ job: consuming ExecutorJob) { enqueue(UnownedJob(job)) }

    /// The same executor, as the runtime refers to it.
    public func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }
}

/// Runs actors on the OS thread of a hub: an actor names it as its `unownedExecutor`, and keeps a reference to it.
///
///     actor Session {
///         let executor = Hub.current.serialExecutor
///         nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
///     }
///
/// Green threads of that hub may call such an actor without a hop: `session.assumeIsolated { ... }`.  Methods of the actor may call what waits; as at an
/// `await`, other calls of the actor run meanwhile.
///
/// After the hub has closed, a task that calls the actor never ends; the first is reported on standard error.
public final class HubSerialExecutor: SerialExecutor, Sendable {
    let tasks: HubTasks

    init(_ tasks: HubTasks) { self.tasks = tasks }

    /// Called by Swift's runtime, on any OS thread.
    public func enqueue(_ job: UnownedJob) { tasks.enqueue(TaskJob(job: job, isSerial: true)) }

    /// Called by Swift's runtime, on any OS thread.
    public func enqueue(_ job: consuming ExecutorJob) { enqueue(UnownedJob(job)) }

    /// The same executor, as an actor's `unownedExecutor` refers to it.
    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    /// Stops the program unless the calling OS thread is the hub's.
    public func checkIsolated() {
        require(tasks.isHere, "code of an actor runs on another OS thread than that of the actor's hub")
    }

    /// Whether the calling OS thread is the hub's.
    public func isIsolatingCurrentContext() -> Bool? { tasks.isHere }
}

// MARK: - Task.sleep

@_spi(ExperimentalScheduling)
extension HubExecutor: SchedulingExecutor {
    /// Called by Swift's runtime, on any OS thread.
    public func enqueue<C: Clock>(
        _ job: consuming ExecutorJob, after delay: C.Duration, tolerance: C.Duration?, clock: C
    ) {
        tasks.enqueue(TaskJob(job: UnownedJob(job), isSerial: false), after: duration(delay, of: clock))
    }

    /// Called by Swift's runtime, on any OS thread.
    public func enqueue<C: Clock>(
        _ job: consuming ExecutorJob, at instant: C.Instant, tolerance: C.Duration?, clock: C
    ) {
        enqueue(job, after: clock.now.duration(to: instant), tolerance: tolerance, clock: clock)
    }
}

@_spi(ExperimentalScheduling)
extension HubSerialExecutor: SchedulingExecutor {
    /// Called by Swift's runtime, on any OS thread.
    public func enqueue<C: Clock>(
        _ job: consuming ExecutorJob, after delay: C.Duration, tolerance: C.Duration?, clock: C
    ) {
        tasks.enqueue(TaskJob(job: UnownedJob(job), isSerial: true), after: duration(delay, of: clock))
    }

    /// Called by Swift's runtime, on any OS thread.
    public func enqueue<C: Clock>(
        _ job: consuming ExecutorJob, at instant: C.Instant, tolerance: C.Duration?, clock: C
    ) {
        enqueue(job, after: clock.now.duration(to: instant), tolerance: tolerance, clock: clock)
    }
}

/// What the hub can wait for.
func duration<C: Clock>(_ delay: C.Duration, of clock: C) -> Duration {
    require(
        C.Duration.self == Duration.self, "a task sleeps by a clock whose Duration is \(C.Duration.self), not Swift's")
    return unsafeBitCast(delay, to: Duration.self)
}

// MARK: - The hub's

extension Hub {
    /// The executor that runs tasks on this hub.  To be read on the hub's OS thread.
    public var executor: HubExecutor { unsafeDowncast(madeExecutors.task, to: HubExecutor.self) }

    /// The executor that runs actors on this hub.  To be read on the hub's OS thread.
    public var serialExecutor: HubSerialExecutor { unsafeDowncast(madeExecutors.serial, to: HubSerialExecutor.self) }

    private var madeExecutors: (task: AnyObject, serial: AnyObject) { executors ?? makeExecutors() }

    /// Another object than the hub can send jobs.
    var hasForeignExecutor: Bool {
        !isKnownUniquelyReferenced(&executors!.task) || !isKnownUniquelyReferenced(&executors!.serial)
    }

    private func makeExecutors() -> (task: AnyObject, serial: AnyObject) {
        let tasks = HubTasks(of: scheduler)
        let made = (task: HubExecutor(tasks), serial: HubSerialExecutor(tasks))
        tasks.queue.serial = made.serial.asUnownedSerialExecutor()
        executors = made
        tasks.attach(to: self)
        return made
    }
}
