import Glibc

/// Bytes that came over a unix socket, and the descriptors that came with them.
public struct ReceivedDescriptors: Hashable, Sendable {
    /// At least one byte.
    public let bytes: [UInt8]
    /// Open in this process, closed on exec, and the receiver's to close.  Often none: bytes come without, too.
    public let descriptors: [Int32]
    /// Some of those that were sent are not here: they were more than was asked for, or than this process may have open.  They were closed.
    public let wereLost: Bool
}

extension Connection {
    /// The most descriptors that `send(descriptors:with:until:)` can pass at once.
    public static let mostDescriptors = SystemCalls.mostDescriptors

    /// Sends `bytes` over a unix socket, and with the first of them `descriptors`: the other process gets descriptors of its own for the same open files.
    ///
    /// The caller's stay open, and may be closed when the call has returned.  There are 1 to 253 descriptors, and 1 byte or more.
    ///
    /// Throws as `sendAll` does; `invalid` for a number that is out of range, EBADF where one of `descriptors` is not open, EOPNOTSUPP or EINVAL over
    /// TCP, and ETOOMANYREFS where too many are under way.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func send(
        descriptors: [Int32], with bytes: [UInt8], until deadline: Deadline = .never
    ) throws(NetError) {
        guard (1...Connection.mostDescriptors).contains(descriptors.count) else {
            throw unfit("\(descriptors.count) descriptors are out of range, 1 to \(Connection.mostDescriptors)")
        }
        if bytes.isEmpty { throw unfit("descriptors go with 1 byte or more") }
        if peer.family != AF_UNIX { throw NetError(.sendmsg, result: -Int(EOPNOTSUPP), peer) }
        try takeTurn(.sendmsg)
        let sent = try bytes.withUnsafeBufferPointer { (bytes) throws(NetError) in
            try sendFirst(UnsafeRawBufferPointer(bytes), descriptors, until: deadline)
        }
        if sent == bytes.count { return }
        do throws(NetError) { try sendAll(Array(bytes[sent...]), until: deadline) } catch {
            // The descriptors are under way, with the first bytes.
            throw error.after(sent: sent + error.sent)
        }
    }

    private func unfit(_ words: String) -> NetError { NetError(.sendmsg, .invalid(words), peer) }

    private func sendFirst(
        _ bytes: UnsafeRawBufferPointer, _ descriptors: [Int32], until deadline: Deadline
    ) throws(NetError) -> Int {
        var error = socket.prepareToSend(until: deadline)
        while true {
            if let error { throw NetError(.sendmsg, .wait(error), peer) }
            if socket.isClosed { throw NetError(.sendmsg, .wait(.closed), peer) }
            let result = SystemCalls.send(socket.descriptor, bytes, descriptors)
            if result >= 0 { return result }
            if result != -Int(EAGAIN) { throw NetError(.sendmsg, result: result, peer) }
            error = socket.waitUntilWritable(until: deadline)
        }
    }

    /// Waits until something has come over a unix socket, and returns up to `limit` bytes of it, with up to `count` descriptors that came with them.  Nil at the end
    /// of the stream.
    ///
    /// The kernel does not join bytes that carry descriptors with those behind them: so one call returns those of one `send` at most.  Other calls that receive drop
    /// descriptors, which the kernel closes.  `count` is 0 to 253, `limit` 1 byte or more.
    ///
    /// Throws as `receive(until:)` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func receiveDescriptors(
        upTo count: Int, bytes limit: Int = 4096, until deadline: Deadline = .never
    ) throws(NetError) -> ReceivedDescriptors? {
        let most = Connection.mostDescriptors
        require((0...most).contains(count), "receiveDescriptors(upTo: \(count)): the count is 0 to \(most)")
        require(limit > 0, "receiveDescriptors(bytes: \(limit)): the limit is 1 byte or more")
        try takeTurn(.recvmsg)
        while true {
            if socket.isClosed { throw NetError(.recvmsg, .wait(.closed), peer) }
            if socket.mayReceive, let received = try receiveNow(count, limit) {
                return received.bytes.isEmpty ? nil : received
            }
            if socket.endsWhenEmpty { return nil }
            if let error = socket.waitUntilReadable(until: deadline) { throw NetError(.recvmsg, .wait(error), peer) }
        }
    }

    /// Nil where nothing is there.
    private func receiveNow(_ count: Int, _ limit: Int) throws(NetError) -> ReceivedDescriptors? {
        var (result, wereLost) = (0, false)
        var descriptors: [Int32] = []
        let bytes = [UInt8](unsafeUninitializedCapacity: limit) { bytes, filled in
            descriptors = [Int32](unsafeUninitializedCapacity: count) { numbers, passedCount in
                let (received, count, areLost) = SystemCalls.receive(
                    socket.descriptor,
                    into: UnsafeMutableRawBufferPointer(bytes),
                    numbers)
                (result, wereLost, passedCount) = (received, areLost, count)
            }
            filled = max(result, 0)
        }
        // A short read may have stopped behind descriptors.
        socket.mayReceive = result != -Int(EAGAIN)
        if result == -Int(EAGAIN) { return nil }
        if result < 0 { throw NetError(.recvmsg, result: result, peer) }
        return ReceivedDescriptors(bytes: bytes, descriptors: descriptors, wereLost: wereLost)
    }
}
