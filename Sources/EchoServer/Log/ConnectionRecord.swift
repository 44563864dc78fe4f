import Glibc
import GreenNet
import ProgramKit

/// What one connection was, for a line in the records.
struct ConnectionRecord {
    /// In nanoseconds of the wall clock.
    let start: timespec
    let duration: Duration
    let peer: SocketAddress
    /// The client behind a proxy; nil where there is none.
    var proxiedPeer: SocketAddress?
    var local: SocketAddress?
    let model: String
    let pid: pid_t
    /// Nil where the process that counted them was killed.
    var traffic: ConnectionTally.Traffic?
    let end: ConnectionEnd
    /// The version of TLS; nil where the connection had none.
    var tls: String?

    /// A line of JSON, with its end.
    var line: [UInt8] {
        func text(_ address: SocketAddress?) -> JSON { address.map { .string("\($0)") } ?? .null }
        func number(_ value: Int?) -> JSON { value.map { .integer($0) } ?? .null }
        let milliseconds = Double(duration.nanoseconds / 1_000_000)
        let members: [(String, JSON)] = [
            ("start", .string(String(decoding: LogLine.timestamp(start), as: UTF8.self))),
            ("duration", .number(milliseconds / 1000)), ("peer", text(peer)), ("proxied_peer", text(proxiedPeer)),
            ("local", text(local)), ("model", .string(model)), ("pid", .integer(Int(pid))),
            ("bytes_in", number(traffic?.bytesIn)), ("bytes_out", number(traffic?.bytesOut)),
            ("reads", number(traffic?.reads)), ("end", .string(snakeCase("\(end)"))),
            ("tls", tls.map { .string($0) } ?? .null),
        ]
        return Array("\(JSON.object(members))\n".utf8)
    }
}

/// What is known of a connection while it is served.
///
/// Belongs to the green thread, OS thread or process that serves the connection.
final class ConnectionTally {
    struct Traffic {
        var reads = 0
        var bytesIn = 0
        var bytesOut = 0
    }

    @exclusivity(unchecked)
    var traffic = Traffic()
    var client: SocketAddress?
    var tls: String?
    private let begin = Begin()
    private let peer: SocketAddress
    private let local: SocketAddress?

    init(_ connection: Connection) {
        peer = connection.peer
        local = try? connection.localAddress()
    }

    func record(_ end: ConnectionEnd, _ model: ModelKind) -> ConnectionRecord {
        ConnectionRecord(
            start: begin.time, duration: begin.elapsed, peer: peer, proxiedPeer: client == peer ? nil : client,
            local: local, model: model.name, pid: getpid(), traffic: traffic, end: end, tls: tls)
    }

    /// When a connection has begun, by both clocks.
    struct Begin {
        let time: timespec
        private let moment = Deadline.now

        init() {
            var time = timespec()
            clock_gettime(CLOCK_REALTIME, &time)
            self.time = time
        }

        var elapsed: Duration { .now - moment }
    }
}
