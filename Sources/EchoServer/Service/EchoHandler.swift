import GreenNet

/// Serves one connection, from its first byte to its last: the same for every model.
struct EchoHandler: Sendable {
    let transform: Transform
    /// How long a client may send nothing, and not read; nil for ever.
    let idleTimeout: Duration?
    let writeTimeout: Duration?
    let counters: CounterRow

    /// Sends back what comes until the client ends its side; then all is answered, and closing the connection ends ours.
    func serve(_ connection: Connection) throws(NetError) {
        while let bytes = try connection.receive(until: .after(idleTimeout)) {
            counters.add(bytes.count, to: .bytesIn)
            transform.apply(to: bytes)
            try connection.sendAll(bytes, until: .after(writeTimeout))
            counters.add(bytes.count, to: .bytesOut)
        }
    }
}

extension Deadline {
    /// Never, where there is no limit: then no clock is read.
    fileprivate static func after(_ length: Duration?) -> Deadline { length.map { .after($0) } ?? .never }
}
