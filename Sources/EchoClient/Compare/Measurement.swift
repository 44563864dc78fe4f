import GreenNet
import ProgramKit

/// One load on one contender.
struct Measurement: Equatable, Sendable {
    /// Messages a second.
    var rate = 0.0
    /// Latencies in microseconds.
    var p50 = 0.0
    var p99 = 0.0
    var p999 = 0.0
    /// Seconds of the server's processor time for a million messages, and of the client's.
    var serverTime = 0.0
    var clientTime = 0.0
    /// What the server holds with these connections, in bytes, and what it has without any.
    var memory = 0.0
    var idleMemory = 0.0
    /// Of the server, with these connections.
    var threads = 0.0
    var processes = 0.0

    /// In bytes.
    func memoryPerConnection(_ connections: Int) -> Double { max(0, memory - idleMemory) / Double(connections) }

    /// Each figure's median.
    static func median(of rounds: [Measurement]) -> Measurement {
        func median(_ figure: (Measurement) -> Double) -> Double {
            let sorted = rounds.map(figure).sorted()
            return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
        }
        return Measurement(
            rate: median(\.rate), p50: median(\.p50), p99: median(\.p99), p999: median(\.p999),
            serverTime: median(\.serverTime), clientTime: median(\.clientTime), memory: median(\.memory),
            idleMemory: median(\.idleMemory), threads: median(\.threads), processes: median(\.processes))
    }

    func json(_ connections: Int) -> JSON {
        .object([
            ("messages_per_second", .number(rate)), ("p50_us", .number(p50)), ("p99_us", .number(p99)),
            ("p99.9_us", .number(p999)), ("server_cpu_seconds_per_million", .number(serverTime)),
            ("client_cpu_seconds_per_million", .number(clientTime)), ("server_memory_bytes", .number(memory)),
            ("idle_server_memory_bytes", .number(idleMemory)),
            ("memory_bytes_per_connection", .number(memoryPerConnection(connections))),
            ("threads", .number(threads)), ("processes", .number(processes)),
        ])
    }
}

/// The result of one contender with one number of connections.
enum Cell: Sendable {
    /// In the order of the rounds; at least one.
    case measured([Measurement])
    /// Why it can't serve this number of connections.
    case impossible(String)

    var median: Measurement? { if case .measured(let rounds) = self { .median(of: rounds) } else { nil } }
    var reason: String? { if case .impossible(let reason) = self { reason } else { nil } }
}
