import GreenNet
import TestSupport
import Testing

/// How the server gives each connection a context of its own.  What a client sees is tested over all of them.
struct ServerModel: Sendable, CustomTestStringConvertible {
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
    static let thread = ServerModel(.thread)
    static let process = ServerModel(.process)

    /// A context for each client, without end.
    static let all = testable(green, thread, process)

    /// Several hubs, several processes, and a fixed number of contexts.
    static let arrangements = testable(
        ServerModel(.green, "--workers", "2"), ServerModel(.green, "--processes", "2"),
        ServerModel(.thread, "--pool-size", "4"), ServerModel(.process, "--pool-size", "4"))

    /// Under ThreadSanitizer a forked child hears of no signal; and it has only one OS thread, where there is nothing to find.
    static func testable(_ models: ServerModel...) -> [ServerModel] {
        models.filter { Sanitizer.active != .thread || !$0.forks }
    }

    private var forks: Bool { kind == .process || arguments.contains("--processes") }

    /// Clients that an arrangement serves at once, at least.
    static let fewClients = 3

    var testDescription: String { arguments.isEmpty ? "green" : arguments.joined(separator: " ") }

    /// Hubs in the process that was started.
    var hubs: Int { arguments.contains("--workers") ? 2 : 1 }

    private var isPool: Bool { arguments.contains("--pool-size") }
    var startsThreadsForClients: Bool { kind == .thread && !isPool }
    var forksForClients: Bool { kind == .process && !isPool }

    /// Descriptors that each client takes in the process that was started.
    var descriptorsPerClient: Int { kind == .process ? 0 : 1 }

    /// How many clients at once are many for it.
    var manyClients: Int {
        switch kind {
        case .green: Sanitizer.scaled(10_000, address: 1000, thread: 1000)
        case .thread: Sanitizer.scaled(1000, address: 200, thread: 200)
        case .process: Sanitizer.scaled(200, address: 50, thread: 50)
        }
    }
}
