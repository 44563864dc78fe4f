import Glibc
import GreenNet
import TestSupport
import Testing

/// The example TaskIntake against a real Redis server: `make test-redis`.
@Suite(.enabled(if: getenv("TEST_LIBRARIES") != nil, "make test-redis runs it"), .serialized)
struct IntakeTests {
    @Test(arguments: ["own", "hiredis"])
    func `tasks of five, three and one end as one, three and five, and the one under way at TERM ends before`(
        client: String
    ) throws {
        try LocalServer.with(.redis) { server in
            let redis = RedisShell(server.port)
            try redis.add([("five", 0.5), ("three", 0.3), ("one", 0.1)])
            try withWorker(server.port, client: client) { worker in
                _ = try #require(worker.standardOutput.waitForLine(containing: "done: job five", within: .seconds(20)))
                #expect(done(by: worker) == ["one", "three", "five"])
                try redis.add([("last", 0.8)])
                _ = try #require(worker.standardOutput.waitForLine(containing: "begin: job last", within: .seconds(20)))
                worker.send(SIGTERM)
                try #expect(worker.waitForExit() == .status(0))
                #expect(worker.standardOutput.textToEnd().contains("takes no more tasks\ndone: job last\n"))
                try #expect(redis.run("XLEN", "tasks:refused") == "0")
                try #expect(redis.pending == 0)
                // Nor is the worker itself left.
                try #expect(redis.run("XINFO", "CONSUMERS", "tasks", "workers") == "")
            }
        }
    }

    @Test(arguments: ["own", "hiredis"])
    func `of two workers one is killed in the middle of a thousand tasks, and the other does the rest`(
        client: String
    ) throws {
        try LocalServer.with(.redis) { server in
            let redis = RedisShell(server.port)
            try withWorker(server.port, client: client, silence: 500) { victim in
                try withWorker(server.port, client: client, silence: 500) { survivor in
                    try killInTheMiddle(redis, victim, survivor)
                }
            }
        }
    }

    @Test(.enabled(if: geteuid() == 0, "only root makes network namespaces"))
    func `two workers in networks of their own share a thousand tasks, and one is killed`() throws {
        try withNetworks { networks in
            let addresses = networks.map(\.hostAddress)
            try LocalServer.with(.redis(onAddresses: addresses)) { server in
                let workers = try networks.map { network in
                    try Program(network.launch(worker(network.hostAddress, server.port, silence: 500)))
                }
                defer { for worker in workers { worker.end() } }
                for worker in workers {
                    _ = try #require(worker.standardOutput.waitForLine(containing: "takes tasks", within: .seconds(20)))
                }
                try killInTheMiddle(RedisShell(server.port), workers[0], workers[1])
            }
        }
    }

    @Test func `a task that two workers have done is told, by the one that was silent`() throws {
        try LocalServer.with(.redis) { server in
            let redis = RedisShell(server.port)
            try withWorker(server.port, silence: 300) { slow in
                try redis.add([("task", 0.2)])
                _ = try #require(slow.standardOutput.waitForLine(containing: "begin: job task", within: .seconds(20)))
                slow.send(SIGSTOP)
                try withWorker(server.port, silence: 300) { quick in
                    _ = try #require(
                        quick.standardOutput.waitForLine(containing: "taken over: job task", within: .seconds(20)))
                    _ = try #require(
                        quick.standardOutput.waitForLine(containing: "done: job task", within: .seconds(20)))
                    slow.send(SIGCONT)
                    _ = try #require(
                        slow.standardOutput.waitForLine(containing: "done twice: job task", within: .seconds(20)))
                }
            }
        }
    }

    @Test func `a task is not taken over while its worker lives, and what is no task is put aside`() throws {
        try LocalServer.with(.redis) { server in
            let redis = RedisShell(server.port)
            try redis.add([("long", 1.5)])
            _ = try redis.run("XADD", "tasks", "*", "job", "endless", "seconds", "x")
            try withWorker(server.port, silence: 300) { worker in
                _ = try #require(worker.standardOutput.waitForLine(containing: "refused: ", within: .seconds(20)))
                try withWorker(server.port, silence: 300) { other in
                    _ = try #require(
                        worker.standardOutput.waitForLine(containing: "done: job long", within: .seconds(20)))
                    #expect(!other.standardOutput.text.contains("taken over"))
                }
            }
            try #expect(redis.run("XLEN", "tasks:refused") == "1")
            try #expect(redis.pending == 0)
        }
    }

    @Test(arguments: ["own", "hiredis"], [SIGKILL, SIGSTOP])
    func `a Redis that ends or hangs is told in one line, with a status`(client: String, signal: Int32) throws {
        // What is under way decides whether the kernel ends the connection or resets it.
        let ends = ["the server has gone", "ECONNRESET", "EPIPE", "Server closed the connection", "reset by peer"]
        let texts = signal == SIGKILL ? ends : ["timed out after 10 seconds"]
        try LocalServer.with(.redis) { server in
            try withWorker(server.port, client: client) { program in
                server.program.send(signal)
                defer { server.program.send(SIGCONT) }
                try #expect(program.waitForExit(within: .seconds(30)) == .status(EX_UNAVAILABLE))
                let lines = program.standardError.textToEnd().split(separator: "\n")
                #expect(lines.count == 1 && texts.contains { lines[0].contains($0) }, "\(lines)")
            }
        }
    }

    // MARK: -

    private func killInTheMiddle(_ redis: RedisShell, _ victim: Program, _ survivor: Program) throws {
        try redis.add(thousand: 0.5)
        let isMiddle = eventually(within: .seconds(30)) {
            done(by: victim).count > 100 && done(by: survivor).count > 100
        }
        victim.send(SIGKILL)
        #expect(isMiddle)
        let areDone = eventually(within: .seconds(30)) { (try? redis.run("HLEN", "tasks:done")) == "1000" }
        #expect(areDone)
        let isTold = eventually(within: .seconds(30)) { !told("taken over: job ", by: survivor).isEmpty }
        #expect(isTold)
        survivor.send(SIGTERM)
        try #expect(survivor.waitForExit() == .status(0))
        try #expect(redis.pending == 0)
        // What was done twice is what the survivor tells; a victim's last words may be lost, its confirmations are not.
        let twice = try redis.run("HVALS", "tasks:done").split(separator: "\n").count { $0 != "1" }
        #expect(twice == told("done twice: job ", by: survivor).count)
        let jobs = Set(done(by: victim) + done(by: survivor))
        let lost = Set((1...1000).map(String.init)).subtracting(jobs)
        // The victim may have died between a confirmation and its line.
        #expect(lost.count <= 256)
    }

    private func told(_ text: String, by program: Program) -> [String] {
        program.standardOutput.lines.filter { $0.hasPrefix(text) }.map { String($0.dropFirst(text.count)) }
    }

    private func done(by program: Program) -> [String] { told("done: job ", by: program) }

    private func worker(
        _ host: String, _ port: Int, client: String = "own", silence: Int = 5000
    ) throws
        -> Program.Launch
    {
        try Program.built("TaskIntake", [host, "\(port)", client, "\(silence)"])
    }

    private func withWorker(
        _ port: Int, client: String = "own", silence: Int = 5000, _ body: (Program) throws -> Void
    ) throws {
        let program = try Program(worker("127.0.0.1", port, client: client, silence: silence))
        defer { program.end() }
        guard program.standardOutput.waitForLine(containing: "takes tasks", within: .seconds(20)) != nil else {
            throw program.failure("takes no tasks")
        }
        try body(program)
    }
}

/// Asks a Redis server by redis-cli.
struct RedisShell {
    let port: Int

    init(_ port: Int) { self.port = port }

    /// What redis-cli prints, without the newline at the end.
    func run(_ words: String...) throws -> String {
        let result = try Program.run(Program.Launch("/usr/bin/redis-cli", ["-p", "\(port)"] + words))
        guard result.exit == .status(0), result.error == "" else {
            throw ProgramFailure(text: "redis-cli \(words): \(result)")
        }
        return String(result.output.dropLast())
    }

    func add(_ jobs: [(name: String, seconds: Double)]) throws {
        for job in jobs { _ = try run("XADD", "tasks", "*", "job", job.name, "seconds", "\(job.seconds)") }
    }

    /// From 1 to 1000, all of the same length.
    func add(thousand seconds: Double) throws {
        let script = "for i = 1, 1000 do redis.call('XADD', 'tasks', '*', 'job', i, 'seconds', '\(seconds)') end"
        _ = try run("EVAL", script, "0")
    }

    /// How many tasks workers have and have not confirmed.
    var pending: Int? {
        get throws { Int(try run("XPENDING", "tasks", "workers").split(separator: "\n").first ?? "") }
    }
}
