import GreenNet
import TestSupport
import Testing

/// Programs that have a process of their own, for Swift's global executor is one for a process.
struct AsyncProgramTests {
    @Test(arguments: ["task-locals", "actor-with-connection", "detached-spawn"])
    func `green threads and async code together compute the right values`(program: String) throws {
        try expectSuccess(program)
    }

    // MARK: The end of a hub

    @Test func `a task without an end does not keep its hub from closing, and goes on elsewhere`() throws {
        try expectSuccess("endless-task")
    }

    @Test func `a task that sleeps when its hub closes wakes elsewhere, and not before its time`() throws {
        try expectSuccess("sleeper-at-close")
    }

    @Test func `a task that is started after the end of the hub runs elsewhere`() throws {
        try expectSuccess("task-after-close")
    }

    @Test func `tasks that call an actor of a closed hub never end, and the first is reported`() throws {
        let error = try expectSuccess("actor-after-close")
        #expect(
            error
                == "GreenNet: a task is lost: its actor runs on a hub that has closed (further ones are not reported)\n"
        )
    }
}

/// Programs in which the hub of the main OS thread runs all tasks.
struct DefaultExecutorTests {
    @Test func `all tasks, the main actor and sleeps run on one OS thread`() throws {
        try expectSuccess("default-executor")
    }

    @Test func `a thousand detached tasks sleep on one OS thread`() throws {
        try expectSuccess("default-executor-sleepers")
    }

    @Test(.enabled(if: Sanitizer.active != .thread, "ThreadSanitizer has an OS thread of its own"))
    func `becomeDefaultExecutor is refused late, in a task and on another OS thread, and changes nothing then`() throws
    {
        try expectSuccess("default-executor-refused")
    }

    @Test func `a forked child runs tasks of its own on its own hub, and none of its parent's`() throws {
        let end = try Program.run(Program.built("AsyncPrograms", ["default-executor-fork"]), within: .seconds(60))
        #expect(end.output == "slept in the parent\nok\n", "\(end)")
    }

    @Test func `tasks go on on the main OS thread's next hub`() throws {
        try expectSuccess("default-executor-second-hub")
    }

    @Test func `a hub that is alone in its process reports that it is blocked for ever`() throws {
        try expectSuccess("default-executor-blocked")
    }
}

/// Programs in which Dispatch has the main actor, and the hub the main OS thread.
struct MainQueueTests {
    @Test func `the hub runs the jobs of the main actor`() throws { try expectSuccess("main-actor") }

    @Test func `a job for the main actor wakes a hub that sleeps`() throws { try expectSuccess("main-actor-wakes-hub") }

    @Test func `a job of the main actor may park, and the next one waits for its end`() throws {
        try expectSuccess("main-actor-parks")
    }

    @Test func `a job of the main actor runs before a deadlock is reported`() throws {
        try expectSuccess("main-actor-before-deadlock")
    }

    @Test func `a program that does not use the main queue has no descriptor for it`() throws {
        try expectSuccess("main-queue-unused")
    }

    @Test func `a forked child does not watch its parent's main queue`() throws { try expectSuccess("main-queue-fork") }

    @Test func `a forked child runs the main actor if its parent has not`() throws {
        try expectSuccess("main-actor-in-child")
    }
}

/// Runs the program `name` of `AsyncPrograms` to its end, and returns what it has written to standard error.
@discardableResult
func expectSuccess(_ name: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
    let end = try Program.run(Program.built("AsyncPrograms", [name]), within: .seconds(60))
    #expect(end.output == "ok\n" && end.exit == .status(0), "\(name): \(end)", sourceLocation: sourceLocation)
    return end.error
}
