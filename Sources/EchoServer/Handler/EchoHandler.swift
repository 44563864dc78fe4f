import GreenNet
import GreenTLS

/// Serves one connection, from its first byte to its last: the same for every model.
///
/// An object, of which all connections with the same settings may have one: what each message reads of it stays in the processor's caches.
final class EchoHandler: Sendable {
    let transform: Transform
    /// How long a client may send nothing, and how long it may read nothing of its answers; nil for ever.
    let idleTimeout: Duration?
    let writeTimeout: Duration?
    let counters: CounterRow
    /// Called with the received bytes, before they are changed; nil unless the log shows them.
    let onReceive: (@Sendable (UnsafeRawBufferPointer, SocketAddress) -> Void)?

    init(
        transform: Transform, idleTimeout: Duration?, writeTimeout: Duration?, counters: CounterRow,
        onReceive: (@Sendable (UnsafeRawBufferPointer, SocketAddress) -> Void)? = nil
    ) {
        (self.transform, self.idleTimeout, self.writeTimeout) = (transform, idleTimeout, writeTimeout)
        (self.counters, self.onReceive) = (counters, onReceive)
    }

    /// Sends back what it receives until the client ends its side.  Everything is answered then, and the caller closes the connection.
    ///
    /// The compiler makes one function of it for plain connections and one for TLS: a plain message meets no branch for TLS.
    @_specialize(where Stream == Connection)
    func serve<Stream: PeerStream>(_ connection: Stream) throws {
        while let bytes = try connection.receiveView(until: .after(idleTimeout)) { try answer(bytes, on: connection) }
    }

    /// The same for a connection that blocks, and has nothing else.  Where there are no time limits, a message touches little of the memory of its OS thread.
    func serveBlocking(_ connection: Connection, onStack: Bool) throws {
        if idleTimeout != nil || writeTimeout != nil { return try serve(connection) }
        // What the closures hold lies with the buffer.
        try connection.withReceiveBuffer(onStack: onStack) { buffer throws(NetError) in
            try connection.answerInPlace(in: buffer) {
                change($0, connection)
            } sent: {
                counters.add($0, to: .bytesOut)
            }
        }
    }

    @inline(__always)
    private func change(_ bytes: UnsafeMutableRawBufferPointer, _ connection: some PeerStream) {
        counters.add(to: .reads)
        counters.add(bytes.count, to: .bytesIn)
        onReceive?(UnsafeRawBufferPointer(bytes), connection.peerAddress)
        transform.apply(to: bytes)
    }

    @inline(never)  // What it needs lies in no frame of a connection that waits to receive.
    private func answer(_ bytes: UnsafeMutableRawBufferPointer, on connection: some PeerStream) throws {
        change(bytes, connection)
        try send(UnsafeRawBufferPointer(bytes), on: connection)
        counters.add(bytes.count, to: .bytesOut)
    }

    /// Serves a client that reads slowly.  Throws where the client reads nothing for `writeTimeout`.
    @inline(__always)
    func send(_ bytes: UnsafeRawBufferPointer, on connection: some PeerStream) throws {
        if let writeTimeout {
            try connection.sendAll(bytes, stall: writeTimeout)
        } else {
            try connection.sendAll(bytes, until: .never)
        }
    }
}

extension EchoHandler {
    /// Sends bytes that are no answer in place, and counts them.
    func send(_ bytes: [UInt8], on connection: some PeerStream) throws {
        if bytes.isEmpty { return }
        try bytes.withUnsafeBytes { try send($0, on: connection) }
        counters.add(bytes.count, to: .bytesOut)
    }

    /// Waits for more bytes of the client, and counts them; nil at the end of its stream.
    func receive(from connection: some PeerStream) throws -> UnsafeMutableRawBufferPointer? {
        guard let bytes = try connection.receiveView(until: .after(idleTimeout)) else { return nil }
        counters.add(to: .reads)
        counters.add(bytes.count, to: .bytesIn)
        onReceive?(UnsafeRawBufferPointer(bytes), connection.peerAddress)
        return bytes
    }
}

extension Deadline {
    /// Never, where there is no timeout: no clock is read then.
    static func after(_ duration: Duration?) -> Deadline { duration.map { .after($0) } ?? .never }
}
