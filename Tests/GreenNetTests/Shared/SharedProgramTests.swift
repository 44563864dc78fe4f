import GreenNet
import TestSupport
import Testing

/// Programs of several processes, which have one OS thread each: a process with more can't fork.
struct SharedProgramTests {
    // MARK: Many processes

    @Test func `of a hundred buyers one gets the ticket, also after a buyer was killed with the lock`() throws {
        try expectOK("tickets")
    }

    @Test func `thirteen processes use five permits, five at a time`() throws { try expectOK("five-at-a-time") }

    @Test func `what producers put, consumers take once, and joinTasks waits for all of it`() throws {
        try expectOK("producers-and-consumers")
    }

    @Test func `no process's change of a counter, a value or an array is lost to another's`() throws {
        try expectOK("counters")
    }

    @Test func `an event lets go on all that wait, also where it is cleared at once`() throws {
        try expectOK("event")
    }

    // MARK: The table of the article

    @Test func `each wait ends at its deadline, on a hub and on an OS thread without one`() throws {
        try expectOK("deadlines")
    }

    @Test func `a wait parks the green thread, and the others of its hub go on`() throws {
        try expectOK("green-threads-go-on")
    }

    @Test func `a kill ends each wait`() throws { try expectOK("kills") }

    @Test func `an enclosing time limit ends each wait`() throws { try expectOK("time-limits") }

    @Test func `a queue that is shut down gives the waits of all processes an end`() throws {
        try expectOK("closing")
    }

    @Test func `what a killed process held comes back, and is told`() throws { try expectOK("deaths") }

    @Test func `processes that are killed while they wait take nothing from those behind them`() throws {
        try expectOK("dead-waiters")
    }

    @Test func `a hub that closes ends its waits, and the next one waits anew`() throws {
        try expectOK("hub-closes")
    }

    // MARK: Programs that join

    @Test func `another program joins by a descriptor`() throws { try expectOK("joining") }

    @Test func `a descriptor with something else behind it is refused, with what was found`() throws {
        try expectOK("refused-joins")
    }

    @Test func `both ends of each range work, and what the kernel refuses is thrown`() throws {
        try expectOK("ranges")
    }

    // MARK: Who lives, and who can ring

    @Test func `a process that becomes another program has released all`() throws { try expectOK("exec-with-lock") }

    @Test(.enabled(if: hasTimeNamespaces, "it takes root, and a kernel with time namespaces"))
    func `a process of another time namespace lives while it lives`() throws { try expectOK("time-namespace") }

    @Test func `a process without a free descriptor can ring`() throws { try expectOK("rings-without-descriptors") }

    @Test func `a ring that could not be sent does not count as made`() throws { try expectOK("unsent-rings") }

    // MARK: Costs

    @Test(.enabled(if: Sanitizer.active == .none, "sanitizers make system calls"))
    func `what has not to wait makes no system call`() throws { try expectOK("no-system-calls") }

    @Test func `a process that waits sleeps`() throws { try expectOK("idle") }

    @Test func `one element wakes one process`() throws { try expectOK("one-is-woken") }

    // MARK: Kills

    @Test func `processes that are killed at random moments leave all usable, and the counts right`() throws {
        let count = Sanitizer.active == .none ? 100 : 10
        for first in stride(from: 1, through: count, by: 10) { try expectOK("random-kills", "\(first)", "10") }
    }
}

private let hasTimeNamespaces =
    (try? Program.run(Program.Launch("/usr/bin/unshare", ["--time", "--fork", "true"])).exit) == .status(0)

/// Runs the program `name` of `SharedPrograms` to its end.
private func expectOK(_ name: String, _ arguments: String..., at place: SourceLocation = #_sourceLocation) throws {
    let end = try Program.run(Program.built("SharedPrograms", [name] + arguments), within: .seconds(100))
    #expect(
        end.exit == .status(0) && end.output == "ok\n", "\(name) \(arguments): \(end)", sourceLocation: place)
}
