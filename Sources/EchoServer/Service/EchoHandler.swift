import GreenNet

/// Serves one connection, from its first byte to its last: the same for every model.
struct EchoHandler {
    let transform: Transform

    /// Sends back what comes until the client ends its side; then all is answered, and closing the connection ends ours.
    func serve(_ connection: Connection) throws(NetError) {
        while let bytes = try connection.receive() {
            transform.apply(to: bytes)
            try connection.sendAll(bytes)
        }
    }
}
