import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// Floods of connections, in a network of their own.  `make flood` runs them for a minute with each model.
    @Suite(
        .serialized,
        .enabled(if: NetworkNamespace.obstacle == nil, "needs root and ip(8): \(NetworkNamespace.obstacle ?? "")"))
    struct FloodTests {
        /// The duration of each kind of flood.
        private static let length: Duration = {
            let seconds = getenv("FLOOD_SECONDS").flatMap { Double(String(cString: $0)) }
            return .seconds(seconds ?? 1.5)
        }()

        private static let models =
            getenv("FLOOD_SECONDS") == nil
            ? ServerModel.testable(.green, .greenProcesses, .thread, .process) : ServerModel.all

        private func withFloodedServer(
            _ model: ServerModel, _ arguments: [String] = [], _ flood: @escaping @Sendable (Server) throws -> Void
        ) throws {
            let limit = FloodTests.length + .seconds(100)
            try onOSThread(limit + .seconds(30)) {
                try NetworkNamespace.enter()
                try withServer(model, arguments, limit: limit) { server in
                    let prober = Prober(server)
                    defer { prober.leave() }
                    try flood(server)
                    try prober.expectAnswers()
                    prober.leave()
                    // Clients that have already left may still be in the queue.
                    let isQuiet = try eventuallyOnHub(within: .seconds(60)) {
                        try server.counts()["open"] == 0 && server.program.tree().descriptors == server.idle.descriptors
                    }
                    #expect(isQuiet)
                    try server.expectOnly(clients: 0)
                    try expectIdle(server.program)
                }
            }
        }

        @Test(arguments: models)
        func `a SYN flood keeps no client from being served`(model: ServerModel) throws {
            // A short queue fills at once.
            try withFloodedServer(model, ["--backlog", "128"]) { server in
                let flood = try SynFlood(port: server.port)
                try flood.run(for: FloodTests.length, rate: 20_000)
                let cookies = NetworkNamespace.count("SyncookiesSent")
                print("\(model.testDescription): \(flood.sent) first packets, \(cookies) answered with a cookie")
                #expect(cookies > 0, "the queue of half-open connections was never full")
            }
        }

        /// Up to 10,000 clients a second, as far as the machine manages.
        @Test(arguments: models)
        func `a flood of clients that connect and leave keeps no client from being served`(model: ServerModel) throws {
            try withFloodedServer(model) { server in
                let (start, end, visitors) = (Deadline.now, Deadline.after(FloodTests.length), 50)
                let visits = try inParallel(visitors) { _ in
                    var visits = 0
                    while !end.hasPassed {
                        try server.connect().close()
                        visits += 1
                        try Greenlet.sleep(until: start + .milliseconds(5) * visits)
                    }
                    return visits
                }.reduce(0, +)
                let rate = Double(visits) / Double((.now - start).nanoseconds) * 1e9
                print("\(model.testDescription): \(visits) came and went, \(Int(rate)) a second")
            }
        }

        private func expectIdle(_ program: Program) throws {
            let before = try program.tree().processorTime
            try Greenlet.sleep(for: .milliseconds(500))
            try #expect(program.tree().processorTime - before < .patient(0.05))
        }
    }
}

/// A client that stays, and others that connect for one answer each, during a flood.
private final class Prober {
    private var probes: [Greenlet<Void>] = []
    private var answers = 0
    private var slowest = Duration.zero

    init(_ server: Server) {
        probes = [
            spawn(name: "stays") { [unowned self] in
                let connection = try server.connect()
                defer { connection.close() }
                while true { try ask(connection) }
            },
            spawn(name: "comes") { [unowned self] in
                while true {
                    let connection = try server.connect()
                    defer { connection.close() }
                    try ask(connection)
                }
            },
        ]
    }

    private func ask(_ connection: Connection) throws {
        let start = Deadline.now
        try connection.expect("ANYBODY?", to: "anybody?")
        slowest = max(slowest, .now - start)
        answers += 1
        try Greenlet.sleep(for: .milliseconds(20))
    }

    /// Expects that no client has failed, and that more answers come.
    func expectAnswers() throws {
        let before = answers
        try #expect(eventuallyOnHub(within: .seconds(10)) { answers > before + 4 })
        for probe in probes where probe.hasEnded { try probe.value() }
        print("\(answers) answers meanwhile, the slowest after \(slowest)")
    }

    func leave() {
        for probe in probes { probe.kill() }
        for probe in probes { _ = try? probe.value() }
        probes = []
    }
}
