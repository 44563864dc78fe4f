import Glibc

extension Connection {
    /// Sends all of `bytes`, waiting as often as the other side is slow.
    /// Throws as `receive(until:)` does; the error's `sent` says how many bytes the kernel had taken by then.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func sendAll(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline = .never) throws(NetError) {
        if let error = socket.prepareToSend(until: deadline) { throw failure(.send, error) }
        let sent = try sendNow(bytes)
        if sent < bytes.count { return try sendRest(of: bytes, after: sent, until: deadline) }
        spoilIfShared(bytes)
        // Not before: the next green thread receives into the buffer that `bytes` may lie in.
        try takeTurn(afterSending: bytes.count)
    }

    /// Sends all of `bytes`, as long as the other side takes some of it within each `stall`.
    /// Throws as `receive(until:)` does, with `deadlinePassed` where it took none for that long; `sent` says how many bytes the kernel had taken by then.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func sendAll(_ bytes: UnsafeRawBufferPointer, stall: Duration) throws(NetError) {
        let deadline = Deadline.after(stall)
        if let error = socket.prepareToSend(until: deadline) { throw failure(.send, error) }
        let sent = try sendNow(bytes)
        if sent < bytes.count { return try sendRest(of: bytes, after: sent, until: deadline, renewedBy: stall) }
        spoilIfShared(bytes)
        try takeTurn(afterSending: bytes.count)
    }

    /// Waits until the kernel takes some of `bytes`, and returns how many it took.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func send(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline = .never) throws(NetError) -> Int {
        try takeTurn(.send)
        if let error = socket.prepareToSend(until: deadline) { throw failure(.send, error) }
        while true {
            let sent = try sendNow(bytes)
            if sent > 0 || bytes.isEmpty { return sent }
            if let error = socket.waitUntilWritable(until: deadline) {
                throw failure(.send, error)
            }
        }
    }

    /// 0 where the kernel has no room.
    @inline(__always)
    private func sendNow(_ bytes: UnsafeRawBufferPointer) throws(NetError) -> Int {
        if socket.isClosed { throw failure(.send, .closed) }
        let sent = SystemCalls.send(socket.descriptor, bytes)
        if sent >= 0 { return sent }
        if sent == -Int(EAGAIN) { return 0 }
        throw failure(.send, result: sent)
    }

    /// A green thread that is killed meanwhile has sent all the same.
    @inline(__always)
    func takeTurn(afterSending count: Int) throws(NetError) {
        do throws(WaitError) { try socket.takeTurn() } catch { throw NetError(.send, .wait(error), peer, sent: count) }
    }

    /// The slow part, for the other side is slow.  What lies in the shared buffer is copied, for others will receive there meanwhile.
    func sendRest(
        of bytes: UnsafeRawBufferPointer, after first: Int, until deadline: Deadline, renewedBy stall: Duration? = nil
    ) throws(NetError) {
        socket.checkOwner()
        var (deadline, sent) = (deadline, first)
        let copy = copyIfShared(UnsafeRawBufferPointer(rebasing: bytes[first...]))
        defer { copy?.deallocate() }
        let rest = copy.map { UnsafeRawBufferPointer($0) } ?? UnsafeRawBufferPointer(rebasing: bytes[first...])
        do throws(NetError) {
            while sent < bytes.count {
                if let error = socket.waitUntilWritable(until: deadline) { throw failure(.send, error) }
                let count = try sendNow(UnsafeRawBufferPointer(rebasing: rest[(sent - first)...]))
                if let stall, count > 0 { deadline = .after(stall) }
                sent += count
            }
        } catch {
            throw error.after(sent: sent)
        }
    }
}

// MARK: - Other kinds of bytes

extension Connection {
    /// Sends all of a text as UTF-8.  Throws as `sendAll` of raw bytes does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @inlinable
    public func sendAll(_ text: some StringProtocol, until deadline: Deadline = .never) throws(NetError) {
        try sendAll(text.utf8, until: deadline)
    }

    /// Sends all of `bytes`.  Throws as `sendAll` of raw bytes does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @inlinable
    public func sendAll(_ bytes: some Collection<UInt8>, until deadline: Deadline = .never) throws(NetError) {
        let sent = bytes.withContiguousStorageIfAvailable { bytes in
            Result { () throws(NetError) in try sendAll(UnsafeRawBufferPointer(bytes), until: deadline) }
        }
        if let sent { try sent.get() } else { try sendAll([UInt8](bytes), until: deadline) }
    }

    /// Sends all of `bytes`.  Throws as `sendAll` of raw bytes does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func sendAll(_ bytes: [UInt8], until deadline: Deadline = .never) throws(NetError) {
        try bytes.withUnsafeBufferPointer { (bytes) throws(NetError) in
            try sendAll(UnsafeRawBufferPointer(bytes), until: deadline)
        }
    }

    /// Sends all of `bytes`, such as those of an array's `span`.  Throws as `sendAll` of raw bytes does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func sendAll(_ bytes: RawSpan, until deadline: Deadline = .never) throws(NetError) {
        try bytes.withUnsafeBytes { (bytes) throws(NetError) in try sendAll(bytes, until: deadline) }
    }

    /// Sends all of what `receiveView(until:)` returned.  Throws as `sendAll` of raw bytes does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func sendAll(_ bytes: UnsafeMutableRawBufferPointer, until deadline: Deadline = .never) throws(NetError) {
        try sendAll(UnsafeRawBufferPointer(bytes), until: deadline)
    }
}
