import Glibc

// MARK: - For a layer over a connection, such as TLS, whose calls do not always come down to one of the connection's

extension Connection {
    /// To be called for a call of the layer that did not have to wait: a green thread gives way now and then all the same, and sees whether it was killed.
    package func takeTurnOfLayer() throws(NetError) { try takeTurn(.recv) }

    /// Whether the end of the stream is this side's doing, by `finishReceiving` or a drain: the other side has ended nothing.
    package var endsReceivingItself: Bool { socket.endsWhenEmpty }

    /// Sends as much of `bytes` as the kernel takes at once, and returns how many; 0 where it takes none, has failed, or the connection is closed.
    /// Never waits, on a blocking connection neither.
    package func sendIfRoom(_ bytes: UnsafeRawBufferPointer) -> Int {
        if socket.isClosed { return 0 }
        socket.checkOwner()
        return max(0, SystemCalls.sendNow(socket.descriptor, bytes))
    }
}
