import Glibc
import GreenNet
import TestSupport
import Testing

// Programs that have a process of their own, for a process with as many OS threads as the tests' can't fork.

/// For programs that count OS threads.
private let countsThreads: any SuiteTrait & TestTrait = .enabled(
    if: Sanitizer.active != .thread, "ThreadSanitizer has an OS thread of its own")

struct ForkedChildTests {
    @Test func `a child ends with what its body returns, with 1 where that throws, or by a signal`() throws {
        let error = try expectEnd("child-status")
        #expect(error.contains("failed: WorkerLikeError()"), "\(error)")
    }

    @Test func `a child that was asked to end is alive until it has ended`() throws { try expectEnd("child-terminate") }

    @Test func `several children are joined in the time of the longest`() throws { try expectEnd("child-joins") }

    @Test func `what a child changes in memory its parent does not see`() throws { try expectEnd("child-memory") }

    @Test func `a child has the descriptors that were named, and the standard ones`() throws {
        try expectEnd("child-descriptors")
    }

    @Test func `a child has a hub of its own, without its parent's green threads and limits`() throws {
        try expectEnd("child-hub")
    }

    @Test func `a child that has left its group is killed all the same`() throws { try expectEnd("child-leaves-group") }

    @Test func `what a child has started in its group ends with it`() throws { try expectEnd("child-group") }

    @Test func `a child lives no longer than its handle, which in another child does nothing`() throws {
        try expectEnd("child-without-handle")
    }

    @Test(countsThreads) func `a process with several OS threads does not fork, and says so`() throws {
        try expectEnd("child-threads")
    }

    @Test func `what the parent has printed before is printed once`() throws {
        let end = try runProcessProgram("child-output")
        #expect(end.output == "parent, before\nchild\nparent, after\nok\n" && end.exit == .status(0), "\(end)")
    }

    @Test func `children and workers end when their parent is killed`() throws {
        let program = try Program(Program.built("ProcessPrograms", ["child-parent-killed"]))
        defer { program.end() }
        let line = try #require(program.standardOutput.waitForLine(containing: " ", within: .seconds(20)))
        let children = line.split(separator: " ").compactMap { pid_t($0) }
        #expect(children.count == 5 && children.allSatisfy { isAlive($0) }, "\(line)")
        program.send(SIGKILL)
        #expect(eventually { children.allSatisfy { !isAlive($0) } }, "of \(children), some live")
    }

    @Test(arguments: [
        ("mistake-status", "an exit status of 256: it takes 0 to 255"),
        ("mistake-wait-in-child", "which is a child of"),
        ("mistake-pool-in-child", "a ProcessPool of process"),
    ])
    func `a mistake in a child stops the child, and says what it is`(program: String, message: String) throws {
        let error = try expectEnd(program)
        #expect(error.contains(message), "\(error)")
    }
}

struct ProcessPoolTests {
    // MARK: Calls

    @Test(countsThreads) func `of six clients of four processes two wait, and the processes stay the same`() throws {
        try expectEnd("pool-six-clients")
    }

    @Test func `a worker that has calls now and then uses hardly any processor time, and its pool neither`() throws {
        try expectEnd("pool-idle-time")
    }

    @Test func `ten tasks by three processes take the time of four`() throws { try expectEnd("pool-ten-by-three") }

    @Test func `calls one after the other are one at a time`() throws { try expectEnd("pool-one-at-a-time") }

    @Test func `a map gives answers in order, takes no more than it runs, and throws the first error`() throws {
        try expectEnd("pool-map-order")
    }

    @Test func `calls begin first come, first served`() throws { try expectEnd("pool-first-come") }

    @Test func `callbacks run in the parent, and may wait`() throws { try expectEnd("pool-callbacks") }

    @Test func `a call is something to wait for beside others`() throws { try expectEnd("pool-waitable") }

    @Test func `requests and answers arrive as they were, of any size up to the limit`() throws {
        try expectEnd("pool-values")
    }

    @Test func `a worker has green threads of its own, and what the function captured as it was`() throws {
        try expectEnd("pool-green-worker")
    }

    @Test func `a worker has no descriptor of its parent's, and a replaced one leaves none`() throws {
        try expectEnd("pool-descriptors")
    }

    @Test func `each worker prepares itself once`() throws { try expectEnd("pool-prepare") }

    @Test func `workers are renewed after their number of calls, and never more than the limit live`() throws {
        try expectEnd("pool-renewal")
    }

    @Test func `idle workers keep a hub neither from ending nor from seeing that it is stuck`() throws {
        try expectEnd("pool-idle")
    }

    @Test(countsThreads) func `a pool starts no OS thread`() throws { try expectEnd("pool-threads") }

    // MARK: Ends

    @Test func `the call of a worker that dies is told how, others go on, and the worker is replaced`() throws {
        try expectEnd("pool-died")
    }

    @Test func `the death of a worker is seen though a process of its own holds the socket`() throws {
        try expectEnd("pool-died-behind-child")
    }

    @Test func `a worker that closes its socket is killed, and its call told`() throws {
        try expectEnd("pool-broken-worker")
    }

    @Test func `an idle worker that dies is replaced, and no call is told`() throws { try expectEnd("pool-idle-died") }

    @Test func `errors of the function, and values that are too long, are told, and the worker lives`() throws {
        try expectEnd("pool-errors")
    }

    @Test func `a deadline, a time limit and a kill end the worker that computes, and it is replaced`() throws {
        try expectEnd("pool-deadline")
    }

    @Test func `a call that ends before a worker has it is never run`() throws { try expectEnd("pool-withdrawn") }

    @Test func `closing ends calls under way and calls that wait, and all workers`() throws {
        try expectEnd("pool-close")
    }

    @Test func `a pool that goes without being closed takes its workers along`() throws {
        try expectEnd("pool-released")
    }

    @Test func `a hub that closes ends the calls of its pools`() throws { try expectEnd("pool-hub-closes") }

    @Test func `where no worker can begin, calls are told why, and the next are tried anew`() throws {
        try expectEnd("pool-prepare-fails")
    }

    @Test(countsThreads) func `where no worker can be forked for OS threads, calls are told, until one can`() throws {
        try expectEnd("pool-threads-later")
    }

    @Test func `workers that end at once begin anew after pauses that grow`() throws { try expectEnd("pool-backs-off") }

    // MARK: Executed workers

    @Test(countsThreads) func `from a process with OS threads, workers are the program executed anew`() throws {
        try expectEnd("pool-executed")
    }

    @Test func `an executed worker that fails, can't begin or finds no function is told in words`() throws {
        try expectEnd("pool-executed-errors")
    }

    @Test func `the call of an executed worker that dies is told, and the worker is replaced`() throws {
        try expectEnd("pool-executed-died")
    }

    // MARK: Random kills

    @Test(arguments: 0..<4)
    func `with workers killed at random, each call has one end, and no process is left`(part: Int) throws {
        let count = Sanitizer.scaled(ProcessPoolTests.seeds, address: 5, thread: 5)
        let end = try runProcessProgram("pool-kills", "\(part * count + 1)", "\(count)", within: .seconds(600))
        #expect(end.output == "ok\n" && end.exit == .status(0), "\(end)")
    }

    @Test func `when the parent is killed at random, no worker is left`() throws {
        var random = SeededRandom(seed: 1)
        for seed in 1...max(5, ProcessPoolTests.seeds / 4) {
            let program = try Program(Program.built("ProcessPrograms", ["pool-orphans", "\(seed)"]))
            defer { program.end() }
            try #require(program.standardOutput.waitForLine(containing: "", within: .seconds(20)) != nil)
            // Any moment of the run: no condition could be waited for.
            poll(nil, 0, Int32.random(in: 0...20, using: &random))
            let workers = ProcessStatus.children(of: program.pid)
            program.send(SIGKILL)
            #expect(eventually { workers.allSatisfy { !isAlive($0) } }, "seed \(seed): of \(workers), some live")
        }
    }

    /// For each of four parts.  PROCESS_SEEDS=250 makes a thousand runs.
    private static let seeds = getenv("PROCESS_SEEDS").flatMap { Int(String(cString: $0)) } ?? 10
}

/// Whether it has not ended.  One that has may wait long for a parent that collects it.
private func isAlive(_ pid: pid_t) -> Bool {
    guard let stat = ProcessStatus.contents(of: "/proc/\(pid)/stat"), let end = stat.lastIndex(of: ")") else {
        return false
    }
    return !stat[end...].dropFirst(2).hasPrefix("Z") && !stat[end...].dropFirst(2).hasPrefix("X")
}

private func runProcessProgram(
    _ words: String..., within limit: Duration = .seconds(60)
) throws -> (exit: Program.Exit, output: String, error: String) {
    var launch = try Program.built("ProcessPrograms", words)
    // A trap prints no backtrace, which takes the runtime a second.
    launch.environment["SWIFT_BACKTRACE"] = "enable=no"
    return try Program.run(launch, within: limit)
}

/// Runs the program `name` of `ProcessPrograms` to its end, and returns what it has written to standard error.
@discardableResult
private func expectEnd(_ name: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
    let end = try runProcessProgram(name)
    #expect(end.output == "ok\n" && end.exit == .status(0), "\(name): \(end)", sourceLocation: sourceLocation)
    return end.error
}
