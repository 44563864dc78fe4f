internal import COpenSSL
import GreenNet

extension TLSConnection {
    /// Waits until something has come, reads as much of it into `buffer` as is there and fits, and returns how many bytes.  Nil where the other side has ended its
    /// stream.  `buffer` has room for 1 byte or more.
    ///
    /// Throws `truncated` where the stream below ends without that; when `deadline` has passed, when the green thread was killed or its time limit is over, and
    /// nothing that came is lost then; and where the other side breaks the protocol, or the stream below fails.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func receive(
        into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline = .never
    ) throws(TLSError) -> Int? {
        require(!buffer.isEmpty, "receive(into:): the buffer has no room")
        return try receive(until: deadline) { buffer }
    }

    /// Waits until something has come and returns what is there, at least one byte and no more than 64 KiB, without a copy: in the OS thread's buffer, which the
    /// connections share.  Nil where the other side has ended its stream.
    ///
    /// The bytes are there until the next call that receives on *any* TLS connection of this OS thread; until then they may be changed.  `sendAll` of a view
    /// sends the right bytes.
    ///
    /// Throws as `receive(into:until:)` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func receiveView(until deadline: Deadline = .never) throws(TLSError) -> UnsafeMutableRawBufferPointer? {
        guard let start = green_tls_received() else { throw error(.receive, .failed("no memory to receive into")) }
        let buffer = UnsafeMutableRawBufferPointer(start: start, count: Int(GREEN_TLS_CHUNK))
        return try receive(until: deadline) { buffer }.map { UnsafeMutableRawBufferPointer(rebasing: buffer[..<$0]) }
    }

    /// Waits until something has come and returns what is there: at least one byte, and no more than 64 KiB.  Nil where the other side has ended its stream.
    /// Throws as `receive(into:until:)` does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func receive(until deadline: Deadline = .never) throws(TLSError) -> [UInt8]? {
        try receiveView(until: deadline).map { [UInt8]($0) }
    }

    @inline(__always)
    private func receive(
        until deadline: Deadline, into target: () -> UnsafeMutableRawBufferPointer
    ) throws(TLSError) -> Int? {
        requireReady("receive")
        if isClosed { throw error(.receive, .stream(WaitError.closed)) }
        while true {
            let step = engine.read(into: target())
            engine.keepInput()
            keepOfferedSession()
            switch step {
            case .done(let count): return count
            case .needsInput: if try !receiveRecords(.receive, until: deadline) { return try endOfStream() }
            case .ended: return nil
            case .failed(let reason): throw failure(.receive, reason)
            }
        }
    }

    /// The stream below has ended.
    @inline(never)
    private func endOfStream() throws(TLSError) -> Int? {
        if let connection, connection.endsReceivingItself { return nil }
        throw error(.receive, .truncated)
    }

    /// Waits for more records.  False at the end of the stream below.
    ///
    /// What OpenSSL itself has to send goes out before: the answer to new keys, say.
    @inline(__always)
    func receiveRecords(_ call: TLSError.Call, until deadline: Deadline) throws(TLSError) -> Bool {
        if engine.hasOutput { sendIfRoom() }
        guard let connection else { return try receiveRecordsCopied(call, until: deadline) }
        let view: UnsafeMutableRawBufferPointer?
        do throws(NetError) { view = try connection.receiveView(until: deadline) } catch {
            throw self.error(call, .stream(error))
        }
        guard let view else { return false }
        engine.give(UnsafeRawBufferPointer(view))
        return true
    }

    /// From a stream that is no connection: it has to be given a buffer before it waits.
    @inline(never)
    private func receiveRecordsCopied(_ call: TLSError.Call, until deadline: Deadline) throws(TLSError) -> Bool {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 17 << 10, alignment: 16)
        defer { buffer.deallocate() }
        let count: Int?
        do { count = try stream.receive(into: buffer, until: deadline) } catch {
            throw self.error(call, .stream(error))
        }
        guard let count else { return false }
        engine.give(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        // The buffer goes when this returns.
        engine.copyInput()
        return true
    }
}
