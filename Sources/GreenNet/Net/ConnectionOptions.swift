import Glibc

extension Connection {
    /// The address of this side.  Throws what the kernel reports, and `closed` after `close()`.  Never waits.
    public func localAddress() throws(NetError) -> SocketAddress {
        if socket.isClosed { throw NetError(.getsockname, .wait(.closed), peer) }
        var storage = KernelAddress()
        let result = SystemCalls.localAddress(socket.descriptor, into: &storage)
        if result < 0 { throw NetError(.getsockname, result: result, peer) }
        return SocketAddress(storage)
    }

    /// The value of an option of socket(7), tcp(7) or ip(7) that is a number: `try connection.option(SO_RCVBUF)`, `try connection.option(TCP_MAXSEG, level:
    /// Int32(IPPROTO_TCP))`.  Throws what the kernel reports, and `closed` after `close()`.  Never waits.
    public func option(_ name: Int32, level: Int32 = SOL_SOCKET) throws(NetError) -> Int32 {
        if socket.isClosed { throw NetError(.getsockopt, .wait(.closed), peer) }
        let result = SystemCalls.option(socket.descriptor, level: level, name)
        if result < 0 { throw NetError(.getsockopt, result: result, peer) }
        return Int32(result)
    }

    /// Sets such an option: `try connection.setOption(SO_KEEPALIVE, to: 1)`.  TCP_NODELAY is set already.  Throws what the kernel refuses, and
    /// `closed` after `close()`.  Never waits.
    public func setOption(_ name: Int32, level: Int32 = SOL_SOCKET, to value: Int32) throws(NetError) {
        if socket.isClosed { throw NetError(.setsockopt, .wait(.closed), peer) }
        let result = SystemCalls.setOption(socket.descriptor, level: level, name, to: value)
        if result < 0 { throw NetError(.setsockopt, result: result, peer) }
    }
}

extension Connection {
    /// Sets an option of which the value's range is known: `try connection.setOption(.dscp(46))`.  Throws a `NetError` that names the option: `invalid`
    /// where the value is out of its range, what the kernel refuses, and `closed` after `close()`.  Never waits.
    public func setOption(_ option: SocketOption) throws(NetError) {
        socket.checkOwner()
        if socket.isClosed { throw NetError(.setsockopt, .wait(.closed), peer) }
        try option.set(on: socket.descriptor, family: peer.family, peer)
    }
}
