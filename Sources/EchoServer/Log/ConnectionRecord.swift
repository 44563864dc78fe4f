import Glibc
import GreenNet

/// What one connection was, for a line in the records.
struct ConnectionRecord {
    /// In nanoseconds of the wall clock.
    let start: timespec
    /// When it began and when it ended, by the clock that does not jump.
    let from: Deadline
    let until: Deadline
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

    /// Writes a line of JSON, with its end.  `start` is the text of the second in which the connection began, as far as the fraction.
    func write(start text: [UInt8], to line: inout TextCursor) {
        line.put("{\"start\":\"")
        line.put(text)
        line.put(start.tv_nsec / 1_000_000, digits: 3)
        line.put("Z\",\"duration\":")
        line.put(seconds: Int((until.nanoseconds - from.nanoseconds) / 1_000_000))
        line.put(",\"peer\":", peer)
        line.put(",\"proxied_peer\":", proxiedPeer)
        line.put(",\"local\":", local)
        line.put(",\"model\":\"")
        line.put(model.utf8)
        line.put("\",\"pid\":")
        line.put(Int(pid))
        line.put(",\"bytes_in\":", traffic?.bytesIn)
        line.put(",\"bytes_out\":", traffic?.bytesOut)
        line.put(",\"reads\":", traffic?.reads)
        line.put(",\"end\":\"")
        line.put(ConnectionRecord.ends[Int(end.rawValue)])
        line.put("\",\"tls\":")
        line.put(tls: tls)
        line.put("}\n")
    }

    /// The texts of all ends.
    private static let ends = ConnectionEnd.allCases.map { Array(snakeCase("\($0)").utf8) }
}

extension TextCursor {
    /// As in `1.25`: with at least one digit behind the point.
    fileprivate mutating func put(seconds milliseconds: Int) {
        let (whole, fraction) = (max(0, milliseconds) / 1000, max(0, milliseconds) % 1000)
        put(whole)
        put(".")
        switch (fraction % 10, fraction % 100) {
        case (_, 0): put(fraction / 100)
        case (0, _): put(fraction / 10, digits: 2)
        default: put(fraction, digits: 3)
        }
    }

    fileprivate mutating func put(_ name: StaticString, _ address: SocketAddress?) {
        put(name)
        if let address { put(address) } else { put("null") }
    }

    fileprivate mutating func put(_ name: StaticString, _ number: Int?) {
        put(name)
        if let number { put(number) } else { put("null") }
    }

    fileprivate mutating func put(tls version: String?) {
        guard let version else { return put("null") }
        put("\"")
        put(version.utf8)
        put("\"")
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

    func record(_ end: ConnectionEnd, _ writer: RecordWriter) -> ConnectionRecord {
        ConnectionRecord(
            start: begin.time, from: begin.moment, until: .now, peer: peer,
            proxiedPeer: client == peer ? nil : client, local: local, model: writer.model, pid: writer.process,
            traffic: traffic, end: end, tls: tls)
    }

    /// When a connection has begun, by both clocks.
    struct Begin {
        let time: timespec
        let moment = Deadline.now

        init() {
            var time = timespec()
            clock_gettime(CLOCK_REALTIME, &time)
            self.time = time
        }
    }
}
