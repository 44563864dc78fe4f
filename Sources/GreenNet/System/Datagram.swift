import Glibc

/// A socket for datagrams: UDP, or a unix socket of that kind.  A call that has to wait parks its green thread, and the others run.
///
///     let socket = try Datagram(bind: .loopback(port: 5353))
///     while true {
///         let (bytes, peer) = try socket.receive(upTo: 2048)
///         try socket.send(bytes, to: peer)
///     }
///
/// It is not connected: each datagram has its own peer.  It owns its descriptor and closes it once: in `close()`, or when the last reference goes; then the path
/// of a unix socket is removed, too.  One green thread may receive while another sends; two that receive (or send) at once are a programming error.
/// Belongs to the OS thread that made it.
public final class Datagram {
    /// Where it is bound; with port 0, the port that the kernel chose.
    public let address: SocketAddress
    /// Whether the datagram that was received last was longer than its buffer, so that its end is lost.  Of a batch, see `DatagramBatch.Item.isTruncated`.
    @exclusivity(unchecked)
    public private(set) var wasTruncated = false
    let socket: Socket
    /// False once the kernel has no UDP_SEGMENT.
    @exclusivity(unchecked)
    private var cutsSegments: Bool
    private let file: SystemCalls.FileIdentity?

    /// Binds to `address`, after `options` were set.  Port 0 gets a free one.  `SocketAddress.any(port:)` is for IPv6 and IPv4, of which the peers'
    /// addresses are mapped then.
    ///
    /// Throws what the kernel refuses: EADDRINUSE, also where a path exists.  Never waits.
    public init(bind address: SocketAddress, options: [SocketOption] = []) throws(NetError) {
        let descriptor = try Datagram.bound(to: address, options)
        var storage = KernelAddress()
        _ = SystemCalls.localAddress(descriptor, into: &storage)
        self.address = SocketAddress(storage)
        file = address.filePath.flatMap { SystemCalls.FileIdentity(of: $0) }
        cutsSegments = address.family != AF_UNIX
        socket = .make(descriptor)
    }

    private static func bound(to address: SocketAddress, _ options: [SocketOption]) throws(NetError) -> Int32 {
        guard var storage = address.storage else { throw NetError(.bind, result: -Int(ENAMETOOLONG), address) }
        let result = SystemCalls.datagramSocket(family: address.family)
        if result < 0 { throw NetError(.socket, result: result, address) }
        let descriptor = Int32(result)
        do throws(NetError) {
            for option in options { try option.set(on: descriptor, family: address.family, address) }
            noteLocalAddresses(descriptor, address)
            let result = SystemCalls.bind(descriptor, to: &storage)
            if result < 0 { throw NetError(.bind, result: result, address) }
        } catch {
            SystemCalls.close(descriptor)
            throw error
        }
        return descriptor
    }

    /// Bound to all addresses, each datagram comes with the one that it was sent to.
    private static func noteLocalAddresses(_ descriptor: Int32, _ address: SocketAddress) {
        guard let bytes = address.networkBytes, bytes.allSatisfy({ $0 == 0 }) else { return }
        _ =
            address.family == AF_INET
            ? SystemCalls.setOption(descriptor, level: Int32(IPPROTO_IP), IP_PKTINFO, to: 1)
            : SystemCalls.setOption(descriptor, level: Int32(IPPROTO_IPV6), IPV6_RECVPKTINFO, to: 1)
    }

    deinit {
        if !socket.isClosed { removePath() }
        socket.free()
    }

    /// Closes the descriptor.  Calls that wait on it throw, with `WaitError.closed`, and so does every later call.  Never waits.
    public func close() {
        if !socket.isClosed { removePath() }
        socket.close()
    }

    private func removePath() {
        guard let path = address.filePath, let file, file == SystemCalls.FileIdentity(of: path) else { return }
        _ = SystemCalls.unlink(path)
    }

    /// Sets an option, as `Connection.setOption` does.
    public func setOption(_ option: SocketOption) throws(NetError) {
        socket.checkOwner()
        if socket.isClosed { throw NetError(.setsockopt, .wait(.closed), address) }
        try option.set(on: socket.descriptor, family: address.family, address)
    }
}

@available(*, unavailable)
extension Datagram: Sendable {}

// MARK: - Receiving

extension Datagram {
    /// Waits for a datagram, writes it into `buffer`, and returns how many bytes that were, which may be none, and who sent it.  What has no room is lost, as
    /// `wasTruncated` tells.
    ///
    /// Throws when `deadline` has passed, when the green thread was killed or its time limit is over, and where the kernel reports an error.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func receive(
        into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline = .never
    ) throws(NetError) -> (count: Int, peer: SocketAddress) {
        var storage = KernelAddress()
        let length = try whenReadable(.recvfrom, until: deadline) {
            SystemCalls.receive(socket.descriptor, into: buffer, from: &storage)
        }
        wasTruncated = length > buffer.count
        return (min(length, buffer.count), SocketAddress(storage))
    }

    /// Waits for a datagram, and returns up to `limit` bytes of it, 1 or more, and who sent it.  Else as `receive(into:until:)`.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func receive(
        upTo limit: Int, until deadline: Deadline = .never
    ) throws(NetError) -> (bytes: [UInt8], peer: SocketAddress) {
        require((1...65_535).contains(limit), "receive(upTo: \(limit)): the limit is 1 to 65535 bytes")
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: limit, alignment: 16)
        defer { buffer.deallocate() }
        let (count, peer) = try receive(into: buffer, until: deadline)
        return ([UInt8](buffer[..<count]), peer)
    }

    /// Waits for a datagram, and takes it with all others that have come by then, up to the capacity of `batch`, which loses what was in it.  Returns
    /// how many.  One system call (recvmmsg).  Throws as `receive(into:until:)` does; `batch` is empty then.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func receive(into batch: DatagramBatch, until deadline: Deadline = .never) throws(NetError) -> Int {
        batch.removeAll()
        let count = try whenReadable(.recvmmsg, until: deadline) {
            SystemCalls.receive(socket.descriptor, batch: batch.raw)
        }
        socket.mayReceive = count == batch.capacity
        batch.noteReceived(count)
        return count
    }

    private func whenReadable(
        _ call: NetError.Call, until deadline: Deadline, _ receive: () -> Int
    ) throws(NetError) -> Int {
        do throws(WaitError) { try socket.takeTurn() } catch { throw NetError(call, .wait(error), address) }
        while true {
            if socket.isClosed { throw NetError(call, .wait(.closed), address) }
            if socket.mayReceive {
                let result = receive()
                if result >= 0 { return result }
                if result != -Int(EAGAIN) { throw NetError(call, result: result, address) }
                socket.mayReceive = false
            }
            if let error = socket.waitUntilReadable(until: deadline) { throw NetError(call, .wait(error), address) }
        }
    }
}

// MARK: - Sending

extension Datagram {
    /// Sends `bytes`, which may be none, as one datagram; waits while the kernel has no room.  UDP has no more than 65507 bytes in one, and a receiver may
    /// never see it.
    ///
    /// Throws as `receive(into:until:)` does; EMSGSIZE where it is too long.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func send(
        _ bytes: UnsafeRawBufferPointer, to peer: SocketAddress, until deadline: Deadline = .never
    ) throws(NetError) {
        var storage = try kernelAddress(of: peer)
        _ = try whenWritable(.sendto, peer, until: deadline) {
            SystemCalls.send(socket.descriptor, bytes, to: &storage)
        }
    }

    /// The same for an array.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func send(_ bytes: [UInt8], to peer: SocketAddress, until deadline: Deadline = .never) throws(NetError) {
        try bytes.withUnsafeBufferPointer { (bytes) throws(NetError) in
            try send(UnsafeRawBufferPointer(bytes), to: peer, until: deadline)
        }
    }

    /// The same for a text as UTF-8.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func send(_ text: String, to peer: SocketAddress, until deadline: Deadline = .never) throws(NetError) {
        try send(Array(text.utf8), to: peer, until: deadline)
    }

    /// Sends the datagrams of `batch`, each to its own peer, in as few system calls as the kernel lets (sendmmsg); those that follow each other, for the same peer and
    /// of one length, go to the kernel as one (UDP_SEGMENT), where it can cut them up.
    ///
    /// Throws as `send(_:to:until:)` does.  `batch.sent` is how many the kernel has taken, also when it throws; the error is about the one behind them.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func send(_ batch: DatagramBatch, until deadline: Deadline = .never) throws(NetError) {
        try send(batch, from: 0, until: deadline)
    }

    /// The same for those from the place `first` on, which is at most `batch.count`.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func send(
        _ batch: DatagramBatch, from first: Int, until deadline: Deadline = .never
    ) throws(NetError) {
        require((0...batch.count).contains(first), "send(from: \(first)) of a batch that has \(batch.count)")
        batch.noteSent(first)
        if address.family == AF_INET6 { batch.mapAddresses() }
        var cuts = cutsSegments
        while batch.sent < batch.count {
            let first = batch.sent
            let count = try whenWritable(.sendmmsg, batch[first].peer, until: deadline) {
                let rest = first..<batch.count
                let result = SystemCalls.send(socket.descriptor, batch: batch.raw, rest, segments: cuts)
                guard cuts, isRefusalToCut(result) else { return result }
                cuts = false
                return SystemCalls.send(socket.descriptor, batch: batch.raw, rest, segments: false)
            }
            batch.noteSent(first + count)
        }
    }

    /// EINVAL and EMSGSIZE are about one route, whose packets are smaller than the datagrams; the others about the device or the kernel.
    private func isRefusalToCut(_ result: Int) -> Bool {
        let refusal = Int32(clamping: -result)
        if [EIO, ENOPROTOOPT, EOPNOTSUPP].contains(refusal) { cutsSegments = false }
        return !cutsSegments || [EINVAL, EMSGSIZE].contains(refusal)
    }

    private func whenWritable(
        _ call: NetError.Call, _ peer: SocketAddress, until deadline: Deadline, _ send: () -> Int
    ) throws(NetError) -> Int {
        do throws(WaitError) { try socket.takeTurn() } catch { throw NetError(call, .wait(error), peer) }
        var pause = Duration.milliseconds(1)
        while true {
            if socket.isClosed { throw NetError(call, .wait(.closed), peer) }
            let result = send()
            if result >= 0 { return result }
            if result != -Int(EAGAIN) { throw NetError(call, result: result, peer) }
            if let error = waitForRoom(until: deadline, &pause) { throw NetError(call, .wait(error), peer) }
        }
    }

    /// A unix socket that is not connected counts as writable though its receiver's queue is full: so the kernel is asked again and again, each time after
    /// twice as long a pause, of 100 ms at most.
    private func waitForRoom(until deadline: Deadline, _ pause: inout Duration) -> WaitError? {
        if address.family != AF_UNIX { return socket.waitUntilWritable(until: deadline) }
        if deadline.hasPassed { return .deadlinePassed }
        do throws(WaitError) { try Greenlet.sleep(until: min(deadline, .after(pause))) } catch { return error }
        pause = min(pause * 2, .milliseconds(100))
        return nil
    }

    /// An IPv6 socket reaches IPv4 by mapped addresses.
    private func kernelAddress(of peer: SocketAddress) throws(NetError) -> KernelAddress {
        let known = address.family == AF_INET6 ? peer.mapped : peer
        guard let storage = known.storage else { throw NetError(.sendto, result: -Int(ENAMETOOLONG), peer) }
        return storage
    }
}
