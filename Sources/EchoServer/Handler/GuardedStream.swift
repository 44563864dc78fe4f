import GreenNet
import GreenTLS
import ProgramKit

/// A connection for which a header of the PROXY protocol was looked for.
///
/// Its first bytes may have been received in that search, and it is closed where a header comes that must not.  Connections of a service without the protocol are
/// served without it.
final class GuardedStream: PeerStream {
    /// The client, which may be behind a proxy.
    let peerAddress: SocketAddress
    private let below: Connection
    /// What was received in search of a header, and how much of it was read; nil once all was.
    private var received: UnsafeMutableRawBufferPointer?
    private var taken = 0
    private var watch: HeaderWatch?
    private let gate: ProxyGate
    private let nextHeader: ProxyHeaderError?

    init(_ below: Connection, _ peerAddress: SocketAddress, _ arrival: ProxyGate.Arrival, _ gate: ProxyGate) {
        (self.below, self.peerAddress, self.gate, nextHeader) = (below, peerAddress, gate, arrival.nextHeader)
        watch = nextHeader == nil ? nil : HeaderWatch()
        guard !arrival.received.isEmpty else { return }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: arrival.received.count, alignment: 1)
        memory.copyBytes(from: arrival.received)
        received = memory
    }

    deinit { received?.deallocate() }

    func receiveView(until deadline: Deadline) throws -> UnsafeMutableRawBufferPointer? {
        if let received, taken < received.count { return take(received, received.count) }
        guard let bytes = try below.receiveView(until: deadline) else { return nil }
        try check(UnsafeRawBufferPointer(bytes))
        return bytes
    }

    func receive(into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline) throws -> Int? {
        if let received, taken < received.count {
            let bytes = take(received, buffer.count)
            buffer.copyMemory(from: UnsafeRawBufferPointer(bytes))
            return bytes.count
        }
        guard let count = try below.receive(into: buffer, until: deadline) else { return nil }
        try check(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        return count
    }

    /// The memory stays until the stream goes.
    private func take(_ received: UnsafeMutableRawBufferPointer, _ most: Int) -> UnsafeMutableRawBufferPointer {
        let bytes = UnsafeMutableRawBufferPointer(rebasing: received[taken...].prefix(most))
        taken += bytes.count
        return bytes
    }

    private func check(_ bytes: UnsafeRawBufferPointer) throws {
        guard let nextHeader, let found = watch?.isComplete(with: bytes) else { return }
        if found { throw gate.refusal(nextHeader, below) }
        if watch?.isOver == true { watch = nil }
    }

    // What is sent goes straight to the connection.

    func sendAll(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline) throws {
        try below.sendAll(bytes, until: deadline)
    }

    func sendAll(_ bytes: UnsafeRawBufferPointer, stall: Duration) throws { try below.sendAll(bytes, stall: stall) }
    func shutdownSending() throws { try below.shutdownSending() }
    func close() { below.close() }
}

/// Finds what every header of the PROXY protocol begins with, where a stream begins with it, in whatever pieces it comes.
struct HeaderWatch {
    private var seen: [UInt8] = []
    /// What has come is the beginning of no header.
    private(set) var isOver = false

    private static let beginnings =
        ["TCP4 ", "TCP6 ", "UNKNOWN"].map { ProxyHeaderParser.word + Array($0.utf8) } + [ProxyHeaderParser.signature]
    private static let longest = beginnings.map(\.count).max()!

    /// Whether the stream begins with a header, now that `bytes` have come.
    mutating func isComplete(with bytes: UnsafeRawBufferPointer) -> Bool {
        if isOver { return false }
        seen += bytes.prefix(HeaderWatch.longest - seen.count)
        if HeaderWatch.beginnings.contains(where: { seen.starts(with: $0) }) { return true }
        isOver = !HeaderWatch.beginnings.contains { $0.starts(with: seen) }
        return false
    }
}
