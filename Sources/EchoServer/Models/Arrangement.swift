/// How the service is spread over hubs and processes.
enum Arrangement: Equatable, Sendable {
    /// The process that was started serves, with this many hubs that accept.
    case hubs(Int)
    /// Forked processes serve, with this many hubs each.  The process that was started supervises them.
    case hubProcesses(Int, hubsEach: Int)
    /// Forked processes without hubs serve, one connection at a time each.  The process that was started supervises them.
    case poolProcesses(Int)

    /// Hubs that accept, in all processes together.
    var acceptingHubs: Int {
        switch self {
        case .hubs(let count): count
        case .hubProcesses(let processes, let hubs): processes * hubs
        case .poolProcesses: 0
        }
    }

    /// Rows of the counters and of the limits: one for each that accepts, a hub or a process without hubs.
    var rows: Int {
        switch self {
        case .hubs, .hubProcesses: acceptingHubs
        case .poolProcesses(let count): count
        }
    }

    /// Sets of listening sockets: each hub that accepts has its own, and the processes of a pool share one.
    var listeners: Int { max(1, acceptingHubs) }

    /// Processes that have descriptors for connections of their own.
    var servingProcesses: Int {
        switch self {
        case .hubs: 1
        case .hubProcesses(let count, _), .poolProcesses(let count): count
        }
    }

    /// Whether the hubs that accept are in other processes than the one that was started.
    var forksHubs: Bool {
        if case .hubProcesses = self { true } else { false }
    }
}
