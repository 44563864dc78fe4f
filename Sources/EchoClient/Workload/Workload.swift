import ArgumentParser
import Glibc
import GreenNet
import ProgramKit

/// `echo-client workload`: the classic comparison of threads, processes and green threads over kinds of work.
struct Workload: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Do the same tasks on one thread, many threads, many processes and green threads.",
        discussion: """
            Green threads take turns on one OS thread: they wait at the same time, but don't compute at the same time. So the result depends \
            on the kind of work: pure computation, disk, network (a server that it starts on this machine) and sleep. Below each row of the \
            table it explains the result, from what was measured.

            EXAMPLES
              echo-client workload
              echo-client workload --work network,sleep --tasks 100
              echo-client workload --work sleep --tasks 1000 --length 2

            EXIT STATUS
              0   all tasks succeeded
              1   a task failed
              64  invalid option
            """
    )

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Tasks of each kind, \(Numbers.tasks.span); also the number of OS threads, and of processes.",
            valueName: "n"))
    var tasks = "10"

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "How long a task takes by itself, about, \(Numbers.length.span).", valueName: "seconds"))
    var length = "0.1"

    @Option(help: ArgumentHelp("Kinds of work, separated by commas.", valueName: "kinds"))
    var work = Work.allCases.map(\.rawValue).joined(separator: ",")

    @Option(
        help: ArgumentHelp("Directory for the files of disk work (default: TMPDIR, or /tmp).", valueName: "directory"))
    var directory: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Rounds, \(Numbers.rounds.span); the figures are medians.",
            valueName: "n"))
    var rounds = "3"

    @Flag(help: "Print the report as one line of JSON.")
    var json = false

    private typealias Numbers = NumericOptions.Workload

    private var taskCount: Int { get throws { try Numbers.tasks.number(in: tasks) } }
    private var taskLength: Duration { get throws { try Numbers.length.number(in: length) } }
    private var roundCount: Int { get throws { try Numbers.rounds.number(in: rounds) } }
    private var kinds: [Work] { work.split(separator: ",").compactMap { Work(rawValue: String($0)) } }

    func validate() throws {
        _ = try (taskCount, taskLength, roundCount)
        if kinds.isEmpty || kinds.count != work.split(separator: ",").count {
            throw ValidationError(
                "--work takes kinds from \(Work.allCases.map(\.rawValue).joined(separator: ", ")), separated by commas."
            )
        }
    }

    func run() throws {
        try ProcessTree.checkReadable()
        let tasks = try taskCount
        var facts = WorkFacts()
        facts.length = try taskLength
        facts.rounds = ComputingTask.calibratedRounds(facts.length)
        facts.directory = directory ?? getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        let server = try PipedProgram([ProgramArguments.ownPath, "workload-server"], capturing: [.standardOutput])
        defer { server.end() }
        guard let port = try server.readLine(.standardOutput).flatMap({ UInt16($0) }) else { throw Failure.taskFailed }
        facts.port = port
        var reports: [JSON] = []
        for kind in kinds {
            let report = WorkReport(
                work: kind, tasks: tasks, length: facts.length, times: try measure(kind, facts, tasks))
            if json { reports.append(report.json) } else { try StandardStreams.write(report.text) }
        }
        if json { try StandardStreams.write("\(JSON.array(reports))\n") }
    }

    /// In the order of `Way.allCases`; of each, the round whose wall time is in the middle.
    private func measure(_ work: Work, _ facts: WorkFacts, _ tasks: Int) throws -> [WorkTimes] {
        let rounds = try roundCount
        let all = try (0..<rounds).map { _ in try Way.allCases.map { try measure($0, work, facts, tasks) } }
        return Way.allCases.indices.map { index in all.map { $0[index] }.sorted { $0.wall < $1.wall }[rounds / 2] }
    }

    private func measure(_ way: Way, _ work: Work, _ facts: WorkFacts, _ tasks: Int) throws -> WorkTimes {
        let words = [ProgramArguments.ownPath, "workload-run", way.rawValue, work.rawValue, "\(tasks)"] + facts.words
        let process = try PipedProgram(words, capturing: [.standardOutput])
        defer { process.end() }
        let times = try process.readLine(.standardOutput).flatMap { WorkTimes($0) }
        guard let times, try process.wait(until: .after(.seconds(10))) == .status(0) else { throw Failure.taskFailed }
        return times
    }
}

/// One kind of work, done in all ways.
struct WorkReport {
    let work: Work
    let tasks: Int
    /// Of each task.
    let length: Duration
    /// In the order of `Way.allCases`.
    let times: [WorkTimes]

    private func sentence(_ index: Int) -> String {
        WorkSentence(way: Way.allCases[index], times: times[index], base: times[0], tasks: tasks).text
    }

    private func speedup(_ index: Int) -> Double { times[0].wall / times[index].wall }

    var text: String {
        let rows = times.indices.map { index in
            [
                Way.allCases[index].rawValue, shortTime(times[index].wall * 1e9), speedup(index).fixed(2),
                shortTime(times[index].processor * 1e9),
            ]
        }
        let lines = TextTable.aligned([["", "wall time", "speed-up", "CPU time"]] + rows)
        let body = times.indices.flatMap { ["  " + lines[$0 + 1], "      " + sentence($0)] }
        let head = "\(work.rawValue): \(tasks) \(tasks == 1 ? "task" : "tasks"), each \(work.meaning(length))"
        return ([head, "  " + lines[0]] + body + [""]).map { $0 + "\n" }.joined()
    }

    var json: JSON {
        let ways = times.indices.map { index in
            JSON.object([
                ("way", .string(Way.allCases[index].rawValue)), ("wall_seconds", .number(times[index].wall)),
                ("speedup", .number(speedup(index))), ("cpu_seconds", .number(times[index].processor)),
                ("tasks_at_once", .number(times[index].overlap)), ("processors", .number(times[index].processors)),
                ("queued_seconds", .number(times[index].queued)),
                ("why", .string(sentence(index))),
            ])
        }
        return .object([
            ("work", .string(work.rawValue)), ("meaning", .string(work.meaning(length))), ("tasks", .integer(tasks)),
            ("ways", .array(ways)),
        ])
    }
}
