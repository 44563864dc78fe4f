import GreenNet
import GreenTLS

/// Counts what goes over a stream, for the record of its connection.
final class TalliedStream: PeerStream {
    private let below: any PeerStream
    private let tally: ConnectionTally

    init(_ below: any PeerStream, _ tally: ConnectionTally) { (self.below, self.tally) = (below, tally) }

    var peerAddress: SocketAddress { below.peerAddress }

    func receiveView(until deadline: Deadline) throws -> UnsafeMutableRawBufferPointer? {
        let bytes = try below.receiveView(until: deadline)
        if let bytes { received(bytes.count) }
        return bytes
    }

    func receive(into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline) throws -> Int? {
        let count = try below.receive(into: buffer, until: deadline)
        if let count { received(count) }
        return count
    }

    private func received(_ count: Int) {
        tally.traffic.reads += 1
        tally.traffic.bytesIn += count
    }

    // What was not sent to its end is not counted.

    func sendAll(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline) throws {
        try below.sendAll(bytes, until: deadline)
        tally.traffic.bytesOut += bytes.count
    }

    func sendAll(_ bytes: UnsafeRawBufferPointer, stall: Duration) throws {
        try below.sendAll(bytes, stall: stall)
        tally.traffic.bytesOut += bytes.count
    }

    func shutdownSending() throws { try below.shutdownSending() }
    func close() { below.close() }
}
