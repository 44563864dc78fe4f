import GreenNet
import TestSupport
import Testing

/// The way in which the server gives each connection a context of its own.  Tests of what a client sees run with every model.
struct ServerModel: Hashable, Sendable, CustomTestStringConvertible {
    let kind: Kind
    /// The options that select the model.
    let arguments: [String]
    /// Whether the server is one with a fork server, as in an installation.
    private(set) var hasForkServer = false

    enum Kind: String, Sendable {
        case green, thread, process
    }

    init(_ kind: Kind, _ arguments: String...) {
        self.kind = kind
        self.arguments = (kind == .green ? [] : ["--model", kind.rawValue]) + arguments
    }

    static let green = ServerModel(.green)
    static let greenWorkers = ServerModel(.green, "--workers", "2")
    static let greenProcesses = ServerModel(.green, "--processes", "2", "--workers", "2")
    static let thread = ServerModel(.thread)
    static let threadPool = ServerModel(.thread, "--pool-size", "4")
    static let process = ServerModel(.process)
    static let forkServer = {
        var model = process
        model.hasForkServer = true
        return model
    }()
    static let processPool = ServerModel(.process, "--pool-size", "4")

    static let all = testable(
        green, greenWorkers, greenProcesses, thread, threadPool, process, forkServer, processPool)

    static let withoutForkServer = all.filter { !$0.hasForkServer }

    /// The models that make a context for each client, without a limit.
    static let unbounded = all.filter { !$0.isPool }

    /// The models whose worker processes are forked beforehand and replaced when they die.
    static let supervised = testable(greenProcesses, processPool)

    /// Under ThreadSanitizer a forked child gets no signals; and it has only one OS thread, so that there is no race to find.
    static func testable(_ models: ServerModel...) -> [ServerModel] {
        models.filter { Sanitizer.active != .thread || !$0.forks }
    }

    var testDescription: String {
        (arguments.isEmpty ? "green" : arguments.joined(separator: " ")) + (hasForkServer ? ", fork server" : "")
    }

    private func has(_ option: String) -> Bool { arguments.contains(option) }

    private var forks: Bool { kind == .process || isSupervised }
    var isPool: Bool { has("--pool-size") }
    /// Whether the first process only supervises the workers that serve.
    var isSupervised: Bool { has("--processes") || kind == .process && isPool }

    // MARK: Resources

    /// The number of children while the server has no client.
    var workers: Int {
        has("--processes") ? 2 : isPool && kind == .process ? leastOfPool : hasForkServer ? 1 : 0
    }

    /// As in `4` or `2...5`.
    private var leastOfPool: Int {
        guard let option = arguments.firstIndex(of: "--pool-size") else { return 0 }
        return Int(arguments[option + 1].prefix { $0 != "." })!
    }

    /// The number of hubs in the first process.
    var hubs: Int { isSupervised ? 1 : hubsOfWorker }
    /// The number of hubs in each process that serves with green threads.
    var hubsOfWorker: Int { has("--workers") ? 2 : 1 }

    /// What a pool of OS threads has of what each hub has one of.
    var poolBells: Int { kind == .thread ? 1 : 0 }
    /// Of the first process while it has no client: one waits for the first.
    var leastThreads: Int { kind == .thread ? 1 + max(1, leastOfPool) : 1 }
    /// OS threads that have ended their clients and wait for others, at most.
    var mostKeptThreads: Int { kind == .thread && !isPool ? 128 : 0 }

    var startsThreadsForClients: Bool { kind == .thread && !isPool }
    var forksForClients: Bool { kind == .process && !isPool }

    /// Descriptors that each client takes in all processes of the server: a child that serves one client has the standard descriptors too.
    var descriptorsPerClient: Int { forksForClients ? 4 : 1 }

    // MARK: Capacity

    /// A number of clients that every model serves at once.
    static let fewClients = 3

    /// The number of clients that the model serves at once; others wait for their turn.
    var clientsAtOnce: Int { isPool ? 4 : .max }

    /// A number of simultaneous clients that is large for the model.
    var manyClients: Int {
        switch kind {
        case .green: Sanitizer.scaled(self == .green ? 10_000 : 2000, address: 1000, thread: 1000)
        case .thread, .process: Sanitizer.scaled(1000, address: 200, thread: 200)
        }
    }
}
