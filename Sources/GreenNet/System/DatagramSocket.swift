import Glibc

/// Sends datagrams to unix sockets, such as those of the system's services.  Never waits.  Any OS thread may send.
///
/// Not connected: the receiver may restart between two datagrams.
package struct DatagramSocket: Sendable {
    package let descriptor: Int32

    /// Throws where the process or the system has no descriptor left.
    package init() throws(SystemError) {
        let result = SystemCalls.datagramSocket(family: AF_UNIX)
        if result < 0 { throw SystemError(Int32(-result)) }
        descriptor = Int32(result)
    }

    /// One that was made before.
    package init(descriptor: Int32) { self.descriptor = descriptor }

    package func close() { SystemCalls.close(descriptor) }

    /// Throws what the kernel says: EAGAIN where the receiver is slow, EMSGSIZE where it is too much for a datagram.
    package func send(_ bytes: UnsafeRawBufferPointer, to address: SocketAddress) throws(SystemError) {
        var storage = try DatagramSocket.storage(address)
        try DatagramSocket.check(SystemCalls.send(descriptor, bytes, to: &storage))
    }

    /// One datagram that passes 1 to 253 descriptors, which stay open here, by a socket of its own.  Throws as `send(_:to:)` does, and where there is no
    /// descriptor left.
    package static func send(
        _ bytes: UnsafeRawBufferPointer, passing descriptors: [Int32], to address: SocketAddress
    ) throws(SystemError) {
        var storage = try DatagramSocket.storage(address)
        let socket = try DatagramSocket()
        defer { socket.close() }
        try check(SystemCalls.connect(socket.descriptor, to: &storage))
        try check(SystemCalls.send(socket.descriptor, bytes, descriptors))
    }

    /// For any size: the receiver gets an empty datagram, and with it a descriptor of a file in memory that is sealed against changes.
    package func sendSealed(_ bytes: UnsafeRawBufferPointer, to address: SocketAddress) throws(SystemError) {
        var storage = try DatagramSocket.storage(address)
        let file = SystemCalls.sealedFile(bytes)
        try DatagramSocket.check(file)
        defer { SystemCalls.close(Int32(file)) }
        try DatagramSocket.check(SystemCalls.sendNow(descriptor, file: Int32(file), to: &storage))
    }

    private static func storage(_ address: SocketAddress) throws(SystemError) -> KernelAddress {
        guard let storage = address.storage else { throw SystemError(ENAMETOOLONG) }
        return storage
    }

    private static func check(_ result: Int) throws(SystemError) { if result < 0 { throw SystemError(Int32(-result)) } }
}
