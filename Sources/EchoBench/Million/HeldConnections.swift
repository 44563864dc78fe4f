import Glibc
import GreenNet

/// Connections that are all open at once, each answered when it is opened and once more while all are open.
struct HeldConnections {
    private let options: Million
    private let limits: MillionLimits
    private var count: Int { limits.connections }

    init(_ options: Million, _ limits: MillionLimits) { (self.options, self.limits) = (options, limits) }

    func run() throws {
        let processes = limits.processes
        print("\n### \(count) connections, \(processes) processes on each side\n")
        flushOutput()
        let words = [
            "\(options.programs)/echo-server", "--port", "0", "--processes", "\(processes)", "--drain-timeout", "5",
        ]
        let start = ServerStart(
            name: "echo-server", words: words + AdminPage.options, alsoSays: [AdminPage.announcement], patience: 60,
            endPatience: .seconds(30))
        try start.run(placement: Placement.withUs) { server in print(try hold(server).table.text) }
    }

    private func hold(_ server: RunningServer) throws -> HeldReport {
        let admin = AdminPage(port: server.ports[1])
        // All that is done once is done before anything is measured.
        try load(server, ["--connections", "\(limits.processes * 4)", "--messages", "\(limits.processes * 8)"])
        let (memory, slabs) = (server.memory, SystemMemory.slabs)
        let words = Placement.withUs + loadWords(server) + holding
        let begin = Deadline.now
        return try withChild(words[0], Array(words.dropFirst()), options: .init(group: .ownSession)) { client in
            let report = spawn(name: "report") { try LineReader(client.output).rest() }
            let complaints = spawn(name: "complaints") { try LineReader(client.errorOutput).rest() }
            defer { for reader in [report, complaints] { reader.kill() } }
            let opened = try Opening(admin, client, count, reserve: options.reserve).watch()
            guard opened > 0 else { throw BenchFailure("no connection was opened") }
            let took = Deadline.now - begin
            let first = server.memory
            try Greenlet.sleep(for: .seconds(options.idle))
            let state = HeldState(
                opened: opened, openTime: took, serverBefore: memory, serverFirst: first, server: server.memory,
                idle: options.idle,
                client: MemoryUse(of: ProcessTree(client.pid)), slabs: SystemMemory.slabs - slabs)
            let meanwhile = try askMeanwhile(server)
            let exit = try client.wait()
            guard exit == .status(0) || exit == .status(128 + SIGTERM) || exit == .signal(SIGTERM) else {
                throw BenchFailure("the client has failed: \(try complaints.value())")
            }
            return try HeldReport(state, all: try report.value(), meanwhile: meanwhile)
        }
    }

    private var holding: [String] {
        [
            "--mode", "hold", "--connections", "\(count)", "--processes", "\(limits.processes)", "--source",
            limits.sources,
            "--ramp", "\(options.ramp ?? Double(options.count / 10_000))", "--duration", "\(options.hold)",
        ]
    }

    private func loadWords(_ server: RunningServer) -> [String] {
        ["\(options.programs)/echo-client", "load", "127.0.0.1", "\(server.port)", "--timeout", "60", "--json"]
    }

    @discardableResult
    private func load(_ server: RunningServer, _ more: [String]) throws -> String {
        try Tool.run(loadWords(server) + more)
    }

    /// What a client among the others sees meanwhile.
    private func askMeanwhile(_ server: RunningServer) throws -> String {
        try load(
            server, ["--connections", "50", "--rate", "1000", "--duration", "5", "--source", "127.0.100.1"])
    }
}
