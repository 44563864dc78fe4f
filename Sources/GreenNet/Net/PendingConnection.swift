/// A client's socket that was accepted and is not served yet: in no hub, and the handler has not begun.  Dropped, it closes the socket.
package struct PendingConnection: ~Copyable {
    package let descriptor: OwnedDescriptor
    package let peer: SocketAddress

    /// Takes over an open descriptor.
    package init(descriptor: Int32, peer: SocketAddress) {
        self.descriptor = OwnedDescriptor(descriptor)
        self.peer = peer
    }

    /// Closes it, as its end does, but not before: its end may come as soon as it is used no more.
    package consuming func close() {}

    /// Hands the descriptor over; it is the caller's to close now.
    package consuming func releaseDescriptor() -> Int32 { descriptor.release() }
}
