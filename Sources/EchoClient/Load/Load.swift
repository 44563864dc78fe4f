import ArgumentParser
import Glibc
import GreenNet
import ProgramKit

/// `echo-client load`: many connections at once, every byte of every answer checked, and how long each took.
struct Load: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Load a service, check every byte it answers, and measure.",
        discussion: """
            Opens all connections, has a few bytes answered on each, and then measures. What is sent is random bytes, the same in every \
            run, in which each connection begins at another place.

            MODES
              steady  each connection keeps --depth messages in flight, or all together send --rate messages a second
              churn   connect, one message, close, and again; a latency is that of all three
              hold    the connections stay open, and have one message answered at the end, on 64 at a time, or on one for each
                      OS thread of each process where those are more
              bulk    each connection sends as fast as the service takes it

            With --rate, a latency counts from the moment at which the message should have been sent: a service that stalls for a second \
            is charged for all who would have come in that second.

            Half a second after --duration, or a signal, what is not answered counts as in flight, and the load ends.

            EXAMPLES
              echo-client load
              echo-client load ::1 7777 --connections 1000 --size 100 --duration 30
              echo-client load --rate 20000 --connections 100
              echo-client load --mode churn --connections 20 --json

            EXIT STATUS
              0    all answers were right
              1    a byte was wrong, a connection failed, or nothing was answered
              64   bad option
              130  interrupted by Ctrl-C, after a report of what was measured by then (143: by TERM)
            """
    )

    @OptionGroup var target: Target
    @OptionGroup var options: LoadOptions

    @Flag(help: "The report as one line of JSON.")
    var json = false

    @Flag(help: "The report as two lines of CSV.")
    var csv = false

    func validate() throws {
        if json && csv { throw ValidationError("--json and --csv exclude each other.") }
    }

    func run() throws {
        let plan = try options.plan(for: try target.address(within: options.timeLimit))
        let run = LoadRun(plan, processes: try options.processCount)
        let (result, signal) = try run.run()
        let report = LoadReport(plan, processes: run.processes, result, isInterrupted: signal != nil)
        try StandardStreams.write(json ? "\(report.json)\n" : csv ? report.csv : report.text)
        // What does not belong into the numbers' stream must be seen all the same.
        if json || csv {
            for failure in result.failures.first { StandardStreams.complain("echo-client: \(failure.text)") }
        }
        if let complaint = report.complaint { StandardStreams.complain("echo-client: \(complaint)") }
        if result.failures.total > 0 || result.messages == 0 && signal == nil { throw ExitCode(1) }
        if let signal { throw ExitCode(128 + signal) }
    }
}

/// What `load` does; other subcommands load too.
struct LoadOptions: ParsableArguments {
    @Option(
        name: [.short, .long], parsing: .unconditional,
        help: ArgumentHelp("Connections at once, \(Numbers.connections.span).", valueName: "n"))
    var connections = "50"

    @Option(
        name: [.short, .long], parsing: .unconditional,
        help: ArgumentHelp(
            "Bytes of a message, \(Numbers.size.span) (default: 64; bulk: 65536).", valueName: "bytes"))
    var size: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Messages in flight on each connection, \(Numbers.depth.span) (default: 1).", valueName: "n"))
    var depth: String?

    @Option(
        name: [.short, .long], parsing: .unconditional,
        help: ArgumentHelp(
            "How long to measure, fractions allowed (default: 10, unless --messages).", valueName: "seconds"))
    var duration: String?

    @Option(
        name: [.short, .long], parsing: .unconditional,
        help: ArgumentHelp("How many messages, of all connections together.", valueName: "n"))
    var messages: String?

    @Option(
        name: [.short, .long], parsing: .unconditional,
        help: ArgumentHelp(
            "Messages a second, of all connections together, answered or not; \(Numbers.rate.span).", valueName: "n"))
    var rate: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Open the connections over this time, up to a day; 0: at once.", valueName: "seconds"))
    var ramp = "0"

    @Option(help: "What the connections do.")
    var mode = LoadMode.steady

    @Option(
        help: ArgumentHelp(
            "Addresses to connect from, with commas between; each has some 28,000 ports (default: the system's choice; for "
                + "127.0.0.0/8, several of it).", valueName: "addresses"))
    var source: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("OS threads of each process, \(Numbers.threads.span).", valueName: "n"))
    var threads = "1"

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Processes, \(Numbers.processes.span) (default: as many as have descriptors for all).", valueName: "n"))
    var processes: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Longest time for a connect, or in which no byte of an answer comes.", valueName: "seconds"))
    var timeout = "5"

    @Option(help: "What the service does with the text; any: either of them.")
    var transform = ExpectedTransform.any

    private typealias Numbers = NumericOptions.Client

    func validate() throws {
        let plan = try plan(for: .unix(path: ""))
        if plan.rate != nil && mode != .steady { throw ValidationError("--rate goes with --mode steady.") }
        if plan.rate != nil && depth != nil {
            throw ValidationError("--rate sends whatever is in flight: it excludes --depth.")
        }
        if depth != nil && mode != .steady { throw ValidationError("--depth goes with --mode steady.") }
        if messages != nil && mode == .hold { throw ValidationError("--mode hold ends by --duration.") }
        if let complaint = try plan.complaint(processes: processCount) { throw ValidationError(complaint) }
    }

    /// Nil where as many as it takes were asked for.
    var processCount: Int? { get throws { try Numbers.processes.number(ifIn: processes) } }
    var timeLimit: Duration { get throws { try Numbers.timeout.number(in: timeout) } }

    private static func addresses(_ text: String) throws -> [SocketAddress] {
        try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            guard let address = SocketAddress(ip: String(part), port: 0) else {
                throw ValidationError("--source: '\(part)' is no numeric address.")
            }
            return address
        }
    }

    /// Throws where an option's value is none.
    func plan(for address: SocketAddress) throws -> LoadPlan {
        var plan = LoadPlan(target: address)
        (plan.mode, plan.transform) = (mode, transform)
        plan.connections = try Numbers.connections.number(in: connections)
        plan.own = 0..<plan.connections
        plan.size = try Numbers.size.number(ifIn: size) ?? (mode == .bulk ? 65_536 : 64)
        plan.depth = try Numbers.depth.number(ifIn: depth) ?? 1
        plan.messages = try Numbers.messages.number(ifIn: messages)
        plan.duration = try Numbers.duration.number(ifIn: duration) ?? (messages == nil ? .seconds(10) : nil)
        plan.rate = try Numbers.rate.number(ifIn: rate)
        plan.ramp = try Numbers.ramp.number(in: ramp)
        plan.sources = try source.map { try LoadOptions.addresses($0) } ?? []
        plan.threads = try Numbers.threads.number(in: threads)
        plan.timeout = try timeLimit
        return plan
    }
}

extension LoadMode: ExpressibleByArgument {}

extension Target {
    /// A name's first address at which somebody answers.
    func address(within limit: Duration) throws -> SocketAddress {
        try Hub.prepare(stacks: 0)
        switch place {
        case .unix(let path): return .unix(path: path)
        case .host(let name, let port):
            let addresses = try Resolver.resolve(name, port: port, until: .after(limit))
            if addresses.count == 1 { return addresses[0] }
            let connection = try connect(within: limit)
            defer { connection.close() }
            return connection.peer
        }
    }
}
