import GreenNet

/// Serves one connection, from its first byte to its last: the same for every model.
struct EchoHandler: Sendable {
    let transform: Transform
    /// How long a client may send nothing, and not read; nil for ever.
    let idleTimeout: Duration?
    let writeTimeout: Duration?
    let counters: CounterRow
    /// Told of what came, before it is changed; nil unless the log is to show that.
    var onReceive: (@Sendable (UnsafeRawBufferPointer, SocketAddress) -> Void)?

    /// Sends back what comes until the client ends its side; then all is answered, and closing the connection ends ours.
    func serve(_ connection: Connection) throws(NetError) {
        while let bytes = try connection.receiveView(until: .after(idleTimeout)) {
            counters.add(to: .messages)
            counters.add(bytes.count, to: .bytesIn)
            onReceive?(UnsafeRawBufferPointer(bytes), connection.peer)
            transform.apply(to: bytes)
            try send(UnsafeRawBufferPointer(bytes), on: connection)
            counters.add(bytes.count, to: .bytesOut)
        }
    }

    /// A client that reads slowly is served; one that does not read at all for so long is not.
    @inline(__always)
    private func send(_ bytes: UnsafeRawBufferPointer, on connection: Connection) throws(NetError) {
        if let writeTimeout {
            try connection.sendAll(bytes, stall: writeTimeout)
        } else {
            try connection.sendAll(bytes)
        }
    }
}

extension Deadline {
    /// Never, where there is no limit: then no clock is read.
    fileprivate static func after(_ length: Duration?) -> Deadline { length.map { .after($0) } ?? .never }
}
