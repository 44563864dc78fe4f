import Glibc

extension Connection {
    /// Connects to `address`, waiting until the other side has answered; from `source`, where one is given, or an address of the kernel's
    /// choice.  A source with port 0 gets a free one.
    /// A byte that the other side sends as urgent data is received like any other, at its place in the stream.
    /// Throws when `deadline` has passed, when killed, and where the kernel or the other side refuses; nothing stays open then.
    public static func connect(
        to address: SocketAddress, from source: SocketAddress? = nil, until deadline: Deadline = .never
    ) throws(NetError) -> Connection {
        guard var storage = address.storage else { throw NetError(.connect, result: -Int(ENAMETOOLONG), address) }
        let result = SystemCalls.socket(family: address.family)
        guard result >= 0 else { throw NetError(.socket, result: result, address) }
        let connection = Connection(descriptor: Int32(result), peer: address)
        do throws(NetError) {
            if let source { try connection.bind(to: source) }
            try connection.establish(&storage, until: deadline)
        } catch {
            connection.close()
            throw error
        }
        return connection
    }

    /// Looks `host` up and tries its addresses in turn until one answers.  Throws `ResolveError`, or the last address's `NetError`.
    public static func connect(
        toHost host: String, port: UInt16, until deadline: Deadline = .never
    ) throws -> Connection {
        var failure: NetError?
        for address in try Resolver.resolve(host, port: port, until: deadline) {
            do throws(NetError) {
                return try connect(to: address, until: deadline)
            } catch {
                if error.waitError != nil { throw error }
                failure = error
            }
        }
        throw failure!
    }

    private func bind(to source: SocketAddress) throws(NetError) {
        guard var storage = source.storage else { throw NetError(.bind, result: -Int(ENAMETOOLONG), source) }
        if source.port == 0 {
            // The port is chosen when the destination is known too: there are as many for each destination.
            _ = SystemCalls.setOption(
                socket.pointee.descriptor, level: Int32(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT, to: 1)
        }
        let result = SystemCalls.bind(socket.pointee.descriptor, to: &storage)
        if result < 0 { throw NetError(.bind, result: result, source) }
    }

    private func establish(_ storage: inout SocketAddress.Storage, until deadline: Deadline) throws(NetError) {
        _ = SystemCalls.keepUrgentByteInStream(socket.pointee.descriptor)
        if peer.family != AF_UNIX {
            _ = SystemCalls.setOption(socket.pointee.descriptor, level: Int32(IPPROTO_TCP), TCP_NODELAY, to: 1)
        }
        let result = SystemCalls.connect(socket.pointee.descriptor, to: &storage)
        if result == 0 { return }
        guard result == -Int(EINPROGRESS) else { throw NetError(.connect, result: result, peer) }
        if let error = socket.waitUntilWritable(until: deadline) {
            throw NetError(.connect, .wait(error), peer)
        }
        let number = SystemCalls.pendingError(socket.pointee.descriptor)
        if number != 0 { throw NetError(.connect, result: -Int(number), peer) }
    }
}
