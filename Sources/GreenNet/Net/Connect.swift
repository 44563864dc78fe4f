import Glibc

extension Connection {
    /// Connects to `address`, waiting until the other side has answered; from `source`, where one is given, or an address of the kernel's
    /// choice.  A source with port 0 gets a free one.
    /// A byte that the other side sends as urgent data is received like any other, at its place in the stream.
    /// `options` are set before it connects: some, such as buffers and the device, count from then on only.
    ///
    /// Where nothing listens at a port of this machine, the kernel may choose that very port for the new socket, which is then connected to itself and
    /// receives what it sends.  That is a refusal (ECONNREFUSED), unless the port was asked for as the source.
    /// Where the queue of a unix socket is full, it waits for room, as a call that blocks does.
    ///
    /// Throws when `deadline` has passed, when killed, and where the kernel or the other side refuses; nothing stays open then.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public static func connect(
        to address: SocketAddress, from source: SocketAddress? = nil, options: [SocketOption] = [],
        until deadline: Deadline = .never
    ) throws(NetError) -> Connection {
        let (connection, isConnected) = try beginConnecting(
            to: address, from: source, options: options, until: deadline)
        if isConnected { return connection }
        if let error = connection.socket.waitUntilWritable(until: deadline) {
            connection.close()
            throw NetError(.connect, .wait(error), address)
        }
        let result = connection.outcome(from: source)
        if result == 0 { return connection }
        connection.close()
        throw NetError(.connect, result: result, address)
    }

    /// Looks `host` up and connects to the first of its addresses that answers.
    ///
    /// As RFC 8305 has it, the addresses of IPv6 and IPv4 are tried by turns, beginning with the one that the system prefers.  Each attempt has
    /// 250 milliseconds, or until it fails, before the next one begins beside it; the first connection is returned, and the other attempts are
    /// closed.  A numeric address is not looked up.
    ///
    /// Throws `ResolveError` where the name has no address, and `NetError` where no address takes the connection: it is about the attempt whose reason
    /// says most, and `NetError.attempts` has all of them.  `deadline` is that of the look-up and all attempts together; when it has passed, and when
    /// killed, it throws `WaitError` during the look-up and `NetError` after that, and nothing stays open.  Callable from any green thread.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public static func connect(
        toHost host: String, port: UInt16, options: [SocketOption] = [], until deadline: Deadline = .never
    ) throws -> Connection {
        if let address = SocketAddress(ip: host, port: port) {
            return try connect(to: address, options: options, until: deadline)
        }
        return try connect(toHost: host, port: port, options: options, until: deadline, lookUp: Resolver.resolve)
    }

    /// With another resolver: for tests.
    package static func connect(
        toHost host: String, port: UInt16, options: [SocketOption] = [], until deadline: Deadline,
        lookUp: (String, UInt16, Deadline) throws -> [SocketAddress]
    ) throws -> Connection {
        var race = ConnectionRace(to: "\(host):\(port)", try lookUp(host, port, deadline), options: options)
        return try race.run(until: deadline)
    }

    /// Asks the kernel to connect; waits only for room in the queue of a unix socket.  Throws where that has failed already; nothing stays
    /// open then.
    static func beginConnecting(
        to address: SocketAddress, from source: SocketAddress? = nil, options: [SocketOption] = [],
        until deadline: Deadline = .never
    ) throws(NetError) -> (connection: Connection, isConnected: Bool) {
        guard var storage = address.storage else { throw NetError(.connect, result: -Int(ENAMETOOLONG), address) }
        let result = SystemCalls.socket(family: address.family)
        guard result >= 0 else { throw NetError(.socket, result: result, address) }
        let connection = Connection(descriptor: Int32(result), peer: address)
        connection.setUsualOptions()
        do throws(NetError) {
            for option in options { try connection.setOption(option) }
            if let source { try connection.bind(to: source) }
            return (connection, try connection.begin(&storage, from: source, until: deadline))
        } catch {
            connection.close()
            throw error
        }
    }

    /// How the kernel's attempt has ended: 0, or errno as a negative number; nil while it goes on.
    var connectResult: Int? {
        SystemCalls.poll(socket.descriptor, for: .writable) == 0 ? nil : outcome(from: nil)
    }

    /// Of an attempt that is over: 0, or errno as a negative number.
    private func outcome(from source: SocketAddress?) -> Int {
        let number = SystemCalls.pendingError(socket.descriptor)
        if number != 0 { return -Int(number) }
        return isConnectedToItself && (source?.port ?? 0) == 0 ? -Int(ECONNREFUSED) : 0
    }

    private var isConnectedToItself: Bool {
        if peer.family == AF_UNIX { return false }
        var (own, other) = (KernelAddress(), KernelAddress())
        let descriptor = socket.descriptor
        guard SystemCalls.localAddress(descriptor, into: &own) == 0, SocketAddress(own).port == peer.port else {
            return false
        }
        // Not `peer`: the kernel takes 0.0.0.0 and :: for this machine, and connects to another address.
        return SystemCalls.peerAddress(descriptor, into: &other) == 0 && SocketAddress(own) == SocketAddress(other)
    }

    private func bind(to source: SocketAddress) throws(NetError) {
        guard var storage = source.storage else { throw NetError(.bind, result: -Int(ENAMETOOLONG), source) }
        if source.port == 0 {
            // The port is chosen when the destination is known too: there are as many for each destination.
            _ = SystemCalls.setOption(
                socket.descriptor, level: Int32(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT, to: 1)
        }
        let result = SystemCalls.bind(socket.descriptor, to: &storage)
        if result < 0 { throw NetError(.bind, result: result, source) }
    }

    /// Before those that the caller asks for.
    private func setUsualOptions() {
        _ = SystemCalls.keepUrgentByteInStream(socket.descriptor)
        guard peer.family != AF_UNIX else { return }
        _ = SystemCalls.setOption(socket.descriptor, level: Int32(IPPROTO_TCP), TCP_NODELAY, to: 1)
    }

    /// Returns whether it is connected already; else it is under way.
    private func begin(
        _ storage: inout KernelAddress, from source: SocketAddress?, until deadline: Deadline
    ) throws(NetError) -> Bool {
        var result = SystemCalls.connect(socket.descriptor, to: &storage)
        if result == -Int(EAGAIN), peer.family == AF_UNIX { result = try waitForRoom(&storage, until: deadline) }
        if result == 0 { result = outcome(from: source) }
        if result == 0 || result == -Int(EINPROGRESS) { return result == 0 }
        throw NetError(.connect, result: result, peer)
    }

    /// The kernel does not report when a unix socket's queue has room again: poll says at once that the socket can be written to, and epoll nothing more when
    /// it is so.  So the kernel is asked again and again, each time after twice as long a pause, of 100 ms at most.
    private func waitForRoom(
        _ storage: inout KernelAddress, until deadline: Deadline
    ) throws(NetError) -> Int {
        var pause = Duration.milliseconds(1)
        while true {
            do throws(WaitError) { try Greenlet.sleep(until: min(deadline, .after(pause))) } catch {
                throw NetError(.connect, .wait(error), peer)
            }
            let result = SystemCalls.connect(socket.descriptor, to: &storage)
            if result != -Int(EAGAIN) { return result }
            if deadline.hasPassed { throw NetError(.connect, .wait(.deadlinePassed), peer) }
            pause = min(pause * 2, .milliseconds(100))
        }
    }
}
