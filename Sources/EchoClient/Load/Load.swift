import ArgumentParser
import Glibc
import GreenNet
import ProgramKit

/// `echo-client load`: many connections at once, every byte of every answer checked, and how long each took.
struct Load: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Load a service, check every byte it answers, and measure.",
        discussion: """
            Opens all connections, has a few bytes answered on each, and then measures. Sends random bytes, the same in every run; each \
            connection begins at another place in them.

            MODES
              steady  each connection keeps --depth messages in flight, or all together send --rate messages a second
              churn   each connects, exchanges one message, closes, and repeats; its latency includes all three
              hold    the connections stay open, and exchange one message each at the end, 64 at a time, or one for each OS
                      thread of each process if those are more
              bulk    each connection sends as fast as the service receives

            With --rate, a latency counts from the moment at which the message should have been sent: a stall of the service raises the \
            latency of all messages that were due in it.

            With --tls, each connection makes a full handshake before its first byte: --mode churn measures handshakes.

            The load ends half a second after --duration or a signal; messages without an answer count as in flight.

            EXAMPLES
              echo-client load
              echo-client load ::1 7777 --connections 1000 --size 100 --duration 30
              echo-client load --rate 20000 --connections 100
              echo-client load --mode churn --connections 20 --json

            EXIT STATUS
              0    all answers were correct
              1    a byte was wrong, a connection failed, or no message was answered
              64   invalid option
              130  interrupted by Ctrl-C, after a report of what was measured by then (143: by TERM)
            """
    )

    @OptionGroup var target: Target
    @OptionGroup var options: LoadOptions

    @Flag(help: "Print the report as one line of JSON.")
    var json = false

    @Flag(help: "Print the report as two lines of CSV.")
    var csv = false

    func validate() throws {
        if target.security.tls && options.rate != nil {
            throw ValidationError("--rate has to send without a wait, which --tls can't: they exclude each other.")
        }
        if json && csv { throw ValidationError("--json and --csv exclude each other.") }
    }

    func run() throws {
        var plan = try options.plan(for: try target.address(within: options.timeLimit))
        plan.tls = target.tls
        plan.proxyHeader = target.sendProxy
        target.tls?.warn()
        // A file that can't be used is one failure, not one of each connection.
        _ = try target.tls?.context()
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
        if let signal { throw ExitCode(ExitStatus.ended(bySignal: signal)) }
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
            "Seconds to measure, fractions allowed (default: 10, unless --messages is given).", valueName: "seconds"))
    var duration: String?

    @Option(
        name: [.short, .long], parsing: .unconditional,
        help: ArgumentHelp("Number of messages, of all connections together.", valueName: "n"))
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
            "Addresses to connect from, separated by commas; each has about 28,000 ports (default: the system chooses; for "
                + "127.0.0.0/8, several addresses of that network).", valueName: "addresses"))
    var source: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("OS threads of each process, \(Numbers.threads.span).", valueName: "n"))
    var threads = "1"

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Processes, \(Numbers.processes.span) (default: as many as are needed for the descriptors of all connections).",
            valueName: "n"))
    var processes: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Limit for a connect, and for the time in which no byte of an answer comes.", valueName: "seconds"))
    var timeout = "5"

    @Option(help: "What the service does with the bytes; any accepts upper and echo.")
    var transform = ExpectedTransform.any

    private typealias Numbers = NumericOptions.Client

    func validate() throws {
        try transform.checkAnswers()
        if transform == .reverse {
            throw ValidationError(
                "--transform reverse: load compares answers byte by byte, and the service answers line by line; ping checks it"
            )
        }
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
    /// The first of a name's addresses that accepts a connection.
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
