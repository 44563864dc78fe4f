import GreenNet

/// What an OS thread or a child process needs to serve connections: it has no hub, so its sockets block.
struct BlockingContext: Sendable {
    let handler: EchoHandler
    let receiveBufferSize: Int
    /// Told of connections that ended with an error.
    let onFailure: @Sendable (NetError) -> Void

    /// From the first byte to the last.  The connection comes back open.
    func serve(_ descriptor: Int32, _ peer: SocketAddress) -> (Connection, ConnectionEnd) {
        let connection = Connection(blocking: descriptor, peer: peer, receiveBufferSize: receiveBufferSize)
        do throws(NetError) {
            try handler.serve(connection)
            return (connection, .done)
        } catch {
            onFailure(error)
            return (connection, ConnectionEnd(error))
        }
    }
}
