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

/// Runs the program `name` of `AsyncPrograms` to its end, and returns what it has written to standard error.
@discardableResult
func expectSuccess(_ name: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
    let end = try Program.run(Program.built("AsyncPrograms", [name]), within: .seconds(60))
    #expect(end.output == "ok\n" && end.exit == .status(0), "\(name): \(end)", sourceLocation: sourceLocation)
    return end.error
}
