@_spi(ExperimentalCustomExecutors) import _Concurrency

/// Why the hub of the main OS thread can't become the executor of all tasks.
public enum DefaultExecutorError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Another OS thread than the main one called.
    case notMainOSThread
    /// The caller runs as a task, as `async main` does: the runtime has chosen its executors.
    case insideTask
    /// The process has other OS threads, which may run tasks already.
    case tooLate
    /// An earlier call has succeeded.
    case calledBefore
    /// The program's Swift runtime has taken other executors than those that it was given.
    case unsupported

    /// As in `the process has other OS threads already: call becomeDefaultExecutor() first thing in a synchronous main`.
    public var description: String {
        switch self {
        case .notMainOSThread: "becomeDefaultExecutor() is for the main OS thread"
        case .insideTask: "becomeDefaultExecutor() is called by a task: call it first thing in a synchronous main"
        case .tooLate:
            "the process has other OS threads already: call becomeDefaultExecutor() first thing in a synchronous main"
        case .calledBefore: "becomeDefaultExecutor() was called before"
        case .unsupported: "this Swift runtime takes no other executors"
        }
    }
}

extension Hub {
    /// Makes the hub of the main OS thread the executor of all tasks of the process that prefer no other: `Task { }`, detached tasks, `Task.sleep`, default actors
    /// and the main actor run on it, and Swift's runtime starts no OS thread.  To be called first thing in a synchronous `main`, before any task.
    ///
    /// Such a process can fork.  In the child, the tasks of the parent are gone, as its green threads are; new tasks run on the child's hub.  Where the hub
    /// closes, its tasks go on when the main OS thread makes the next one.
    ///
    /// Tasks run while green threads of the main OS thread wait, or `Hub.current.serve()` or `run()` does.  Code that starts Dispatch queues or OS threads of its own
    /// still does so.  Throws `DefaultExecutorError` where it is called late, twice, by a task or on another OS thread; nothing
    /// is changed then, unless by `.unsupported`.
    @available(*, noasync, message: "call it first thing in a synchronous main")
    public static func becomeDefaultExecutor() throws(DefaultExecutorError) {
        try checkThatTasksCanMove()
        let (task, main) = (current.executor, current.serialExecutor)
        HubExecutorFactory.chosen = (task, main)
        _createExecutors(factory: HubExecutorFactory.self)
        guard Task.defaultExecutor === task, MainActor.executor === main else { throw .unsupported }
        task.tasks.becomeProcess()
        whenMadeOnMain = { hub in
            hub.executors = (task, main)
            task.tasks.attach(to: hub)
        }
    }

    private static func checkThatTasksCanMove() throws(DefaultExecutorError) {
        guard LinuxCalls.isMainThread else { throw .notMainOSThread }
        if HubExecutorFactory.chosen != nil { throw .calledBefore }
        if withUnsafeCurrentTask(body: { $0 != nil }) { throw .insideTask }
        if ProcessThreads.areSeveral { throw .tooLate }
    }
}

/// From which the runtime takes its executors.
private struct HubExecutorFactory: ExecutorFactory {
    // Set once, while the process has one OS thread.
    nonisolated(unsafe) static var chosen: (task: HubExecutor, main: HubSerialExecutor)?

    static var defaultExecutor: any TaskExecutor { chosen!.task }
    static var mainExecutor: any MainExecutor { chosen!.main }
}

@_spi(ExperimentalCustomExecutors)
extension HubSerialExecutor: MainExecutor {
    /// Called by Swift's runtime, on the hub's OS thread: runs the hub until `stop()`.
    public func run() throws { try Hub.current.serve() }

    /// Called by Swift's runtime, on any OS thread.
    public func stop() { tasks.stopServing() }
}
