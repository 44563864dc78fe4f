internal import COpenSSL
import GreenNet

extension TLSConnection {
    /// Sends all of `bytes`, waiting as often as the other side is slow.
    ///
    /// Throws when `deadline` has passed, when the green thread was killed or its time limit is over, and where the stream below fails.  How much was sent by then
    /// is unknown.  Over a `Connection`, the records that were begun are kept, and go out before those of the next call; over another stream, every later call
    /// that sends throws the same error, since a record may be cut.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func sendAll(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline = .never) throws(TLSError) {
        try send(bytes, until: deadline, renewedBy: nil)
    }

    /// Sends all of `bytes`, as long as the other side takes some of it within each `stall`.
    /// Throws as `sendAll(_:until:)` does, with `deadlinePassed` where it took none for that long.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func sendAll(_ bytes: UnsafeRawBufferPointer, stall: Duration) throws(TLSError) {
        try send(bytes, until: .after(stall), renewedBy: stall)
    }

    /// Sends all of a text as UTF-8.  Throws as `sendAll` of raw bytes does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func sendAll(_ text: some StringProtocol, until deadline: Deadline = .never) throws(TLSError) {
        try sendAll(Array(text.utf8), until: deadline)
    }

    /// Sends all of `bytes`.  Throws as `sendAll` of raw bytes does.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func sendAll(_ bytes: [UInt8], until deadline: Deadline = .never) throws(TLSError) {
        try bytes.withUnsafeBufferPointer { bytes throws(TLSError) in
            try sendAll(UnsafeRawBufferPointer(bytes), until: deadline)
        }
    }

    /// A chunk at a time: its records are made before the green thread waits, so that a view is sent as it is now.
    private func send(
        _ bytes: UnsafeRawBufferPointer, until deadline: Deadline, renewedBy stall: Duration?
    ) throws(TLSError) {
        requireReady("sendAll")
        if isClosed { throw error(.send, .stream(WaitError.closed)) }
        if engine.hasEndedSending { throw error(.send, .failed("this side has ended its stream already")) }
        var rest = bytes
        repeat {
            if let sendingFailure { throw sendingFailure }
            let chunk = UnsafeRawBufferPointer(rebasing: rest.prefix(Int(GREEN_TLS_CHUNK)))
            if !chunk.isEmpty, let reason = engine.write(chunk) { throw error(.send, reason) }
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(chunk.count))
            try flush(.send, until: stall.map { .after($0) } ?? deadline, renewedBy: stall)
        } while !rest.isEmpty
    }

    // MARK: - Records

    /// Sends all records that are there.  Only one green thread does so at a time, since their order counts: another one waits until it has ended.
    func flush(
        _ call: TLSError.Call, until deadline: Deadline, renewedBy stall: Duration? = nil
    ) throws(TLSError) {
        while isFlushing { try waitForFlush(call, until: deadline) }
        if let sendingFailure { throw sendingFailure }
        isFlushing = true
        defer {
            isFlushing = false
            flushEnded?.set()
            flushEnded = nil
        }
        // Others may have added some meanwhile.
        while let output = takeUnsent() ?? engine.takeOutput() {
            try send(output, call, until: deadline, renewedBy: stall)
        }
    }

    private func takeUnsent() -> TLSOutput? {
        defer { unsent = nil }
        return unsent
    }

    /// Frees `output`, or keeps what of it could not be sent.
    @inline(__always)
    private func send(
        _ output: TLSOutput, _ call: TLSError.Call, until deadline: Deadline, renewedBy stall: Duration?
    ) throws(TLSError) {
        guard let connection else { return try sendBelow(output, call, until: deadline) }
        var (output, deadline) = (output, deadline)
        do throws(NetError) {
            while output.sent < output.count {
                output.sent += try connection.send(output.rest, until: deadline)
                if let stall { deadline = .after(stall) }
            }
            output.free()
        } catch {
            throw keep(output, self.error(call, .stream(error)))
        }
    }

    private func sendBelow(_ output: TLSOutput, _ call: TLSError.Call, until deadline: Deadline) throws(TLSError) {
        defer { output.free() }
        do { try stream.sendAll(output.rest, until: deadline) } catch {
            let failure = self.error(call, .stream(error))
            sendingFailure = failure
            throw failure
        }
    }

    /// A later call sends it, unless the connection itself has failed.
    private func keep(_ output: TLSOutput, _ failure: TLSError) -> TLSError {
        if failure.waitError == nil { sendingFailure = failure }
        unsent = output
        return failure
    }

    @inline(never)
    private func waitForFlush(_ call: TLSError.Call, until deadline: Deadline) throws(TLSError) {
        let event = flushEnded ?? GreenEvent()
        flushEnded = event
        do throws(WaitError) { try event.wait(until: deadline) } catch { throw self.error(call, .stream(error)) }
    }

    /// Sends the records that are there, as far as the kernel takes them at once, and keeps the rest.  Never waits.
    ///
    /// Over a stream that is no connection they stay, until the next call that sends.
    func sendIfRoom() {
        guard let connection, !isFlushing, sendingFailure == nil else { return }
        while var output = takeUnsent() ?? engine.takeOutput() {
            output.sent += connection.sendIfRoom(output.rest)
            if output.sent < output.count {
                unsent = output
                return
            }
            output.free()
        }
    }
}
