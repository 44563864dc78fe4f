import GreenNet
import GreenTLS

/// A connection of which a record is written and nothing else is asked: counts what goes over it, and makes the record.
///
/// One object and no stream below: while it waits, it takes no more of its stack than a plain connection.  Other connections have a `TalliedStream`.  Belongs
/// to the green thread, OS thread or process that serves the connection.
final class RecordedConnection: PeerStream {
    private let connection: Connection
    private let handler: EchoHandler
    private let writer: RecordWriter
    private let local: SocketAddress?
    private let begin = ConnectionTally.Begin()
    @exclusivity(unchecked)
    private var traffic = ConnectionTally.Traffic()

    init(_ connection: Connection, _ handler: EchoHandler, _ writer: RecordWriter) {
        (self.connection, self.handler, self.writer) = (connection, handler, writer)
        local = try? connection.localAddress()
    }

    /// Serves it until its end, or until it rests.
    func serve() throws { try handler.serve(self) }

    /// Writes its record: the connection has ended.
    func ended(_ end: ConnectionEnd) {
        writer(
            ConnectionRecord(
                start: begin.time, from: begin.moment, until: .now, peer: connection.peer, local: local,
                model: writer.model, pid: writer.process, traffic: traffic, end: end))
    }

    // MARK: PeerStream

    var peerAddress: SocketAddress { connection.peer }

    func receiveView(until deadline: Deadline) throws -> UnsafeMutableRawBufferPointer? {
        let bytes = try connection.receiveView(until: deadline)
        if let bytes { received(bytes.count) }
        return bytes
    }

    func receive(into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline) throws -> Int? {
        let count = try connection.receive(into: buffer, until: deadline)
        if let count { received(count) }
        return count
    }

    private func received(_ count: Int) {
        traffic.reads += 1
        traffic.bytesIn += count
    }

    // What was not sent to its end is not counted.

    func sendAll(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline) throws {
        try connection.sendAll(bytes, until: deadline)
        traffic.bytesOut += bytes.count
    }

    func sendAll(_ bytes: UnsafeRawBufferPointer, stall: Duration) throws {
        try connection.sendAll(bytes, stall: stall)
        traffic.bytesOut += bytes.count
    }

    func shutdownSending() throws { try connection.shutdownSending() }
    func close() { connection.close() }
}
