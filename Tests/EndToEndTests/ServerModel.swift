import GreenNet
import TestSupport
import Testing

/// How the server gives each connection a context of its own.  What a client sees is tested over all of them.
struct ServerModel: Hashable, Sendable, CustomTestStringConvertible {
    let kind: Kind
    /// The options that choose it.
    let arguments: [String]

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
    static let processPool = ServerModel(.process, "--pool-size", "4")

    static let all = testable(green, greenWorkers, greenProcesses, thread, threadPool, process, processPool)

    /// Those with a context for each client, without end.
    static let unbounded = all.filter { !$0.isPool }

    /// Those whose contexts are processes, forked beforehand and kept in number.
    static let supervised = testable(greenProcesses, processPool)

    /// Under ThreadSanitizer a forked child hears of no signal; and it has only one OS thread, where there is nothing to find.
    static func testable(_ models: ServerModel...) -> [ServerModel] {
        models.filter { Sanitizer.active != .thread || !$0.forks }
    }

    var testDescription: String { arguments.isEmpty ? "green" : arguments.joined(separator: " ") }

    private func has(_ option: String) -> Bool { arguments.contains(option) }

    private var forks: Bool { kind == .process || isSupervised }
    var isPool: Bool { has("--pool-size") }
    /// Whether the process that was started serves nobody itself.
    var isSupervised: Bool { has("--processes") || kind == .process && isPool }

    // MARK: What it has

    /// Children while it has no client.
    var workers: Int { has("--processes") ? 2 : isPool && kind == .process ? 4 : 0 }

    /// Hubs of the process that was started.
    var hubs: Int { isSupervised ? 1 : hubsOfWorker }
    /// Hubs of each process that serves with green threads.
    var hubsOfWorker: Int { has("--workers") ? 2 : 1 }

    var startsThreadsForClients: Bool { kind == .thread && !isPool }
    var forksForClients: Bool { kind == .process && !isPool }

    /// Descriptors that each client takes in all its processes: a child that is there for the client has the standard ones too.
    var descriptorsPerClient: Int { forksForClients ? 4 : 1 }

    // MARK: What it bears

    /// Clients that every arrangement serves at once.
    static let fewClients = 3

    /// Clients that it serves at once; others wait for their turn.
    var clientsAtOnce: Int { isPool ? 4 : .max }

    /// How many clients at once are many for it.
    var manyClients: Int {
        switch kind {
        case .green: Sanitizer.scaled(self == .green ? 10_000 : 2000, address: 1000, thread: 1000)
        case .thread, .process: Sanitizer.scaled(1000, address: 200, thread: 200)
        }
    }
}
