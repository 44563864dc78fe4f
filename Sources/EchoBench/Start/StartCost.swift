import ArgumentParser
import Glibc
import GreenNet
import ProgramKit

/// `EchoBench start`: what a start costs.
struct StartCost: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start",
        abstract: "Starts each server by turns, and has it answer one message.",
        discussion: """
            Prints a Markdown table: the time from the start of the process to the answer, the CPU time until then, what is resident afterwards, the \
            size of the file without symbols, and, where valgrind is installed, the instructions of one whole run in user mode.

            Programs that are not built are left out, and named.
            """)

    @Option(help: "Rounds, 1 to 1000; in each, every server is started once.") var rounds = 20
    @Option(help: "echo-server as `make build` has it.") var release = ".build/release/echo-server"
    @Option(help: "echo-server as `make dist` has it.") var installed = ".build/dist/echo-server"
    @Option(
        help: "Another server, which says `listening on 127.0.0.1:PORT`, or is told {port}; may be given several times."
    )
    var also: [NamedCommand] = []
    @Flag(help: "Also those in Rust and Go, which are built where their compilers are installed.") var peers = false

    func validate() throws {
        try check("rounds", Double(rounds))
        guard rounds <= 1000 else { throw ValidationError("--rounds must be 1000 or less, not \(rounds)") }
    }

    func run() throws {
        let roster = StartRoster(self)
        let samples = try Samples(nil, columns: StartSample.columns)
        for round in 1...rounds {
            for server in roster.servers {
                Progress.show("round \(round) of \(rounds): \(server.name)")
                try samples.add(server.name, round: round, try StartSample(of: server).values)
            }
        }
        Progress.clear()
        print(try StartReport(samples, roster).text)
    }
}

/// The servers that are started, in the order of the table.
struct StartRoster {
    private(set) var servers: [ServerStart] = []
    /// The names of those that are not there.
    private(set) var missing: [String] = []

    init(_ options: StartCost) {
        add("C epoll", ["\(GeneratorStart.folder)/epoll-floor"])
        add("echo-server, installed", [options.installed, "--port", "0"])
        add("echo-server, release", [options.release, "--port", "0"])
        for other in options.also { add(other.name, other.words) }
        guard options.peers else { return }
        for (name, peer) in [("Rust tokio", "tokio"), ("Go net", "go")] {
            if let words = try? PeerBuild.words(of: peer) { add(name, words) } else { missing.append(name) }
        }
    }

    private mutating func add(_ name: String, _ words: [String]) {
        guard access(words[0], X_OK) == 0 else { return missing.append(name) }
        servers.append(ServerStart(name: name, words: words))
    }
}

/// One start of a server.
struct StartSample {
    static let columns = ["milliseconds", "cpu_milliseconds", "resident_kib"]

    let values: [Double]

    init(of server: ServerStart) throws {
        let begin = ContinuousClock.now
        values = try server.run(placement: []) { running in
            try StartSample.exchange(with: running.port)
            let (elapsed, used) = (ContinuousClock.now - begin, running.cpuTime)
            return [elapsed / .milliseconds(1), Double(used) / 1e6, Double(running.memory.rss)]
        }
    }

    /// Over a connection of its own.
    static func exchange(with port: Int) throws {
        let deadline = Deadline.after(.seconds(10))
        let connection = try Connection.connect(to: .loopback(port: UInt16(port)), until: deadline)
        defer { connection.close() }
        try connection.sendAll("hello", until: deadline)
        let answer = try connection.receive(exactly: 5, until: deadline)
        guard answer == Array("HELLO".utf8) else { throw BenchFailure("the answer is \(answer)") }
    }
}
