import Glibc

extension Connection {
    /// Two connections, one to the other, over a pair of unix sockets that have no name.  Both are for this hub.
    ///
    /// Throws where the process or the system has no descriptor left.  Never waits.
    public static func pair() throws(NetError) -> (Connection, Connection) {
        var ends: (Int32, Int32) = (-1, -1)
        let result = SystemCalls.streamPair(&ends)
        if result < 0 { throw NetError(.socketpair, result: result, nil) }
        let name = SocketAddress.unix(path: "")
        return (Connection(descriptor: ends.0, peer: name), Connection(descriptor: ends.1, peer: name))
    }
}
