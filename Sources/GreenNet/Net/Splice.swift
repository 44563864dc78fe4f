import Glibc

/// Passes on all that comes from `source` to `sink`, up to the end of the stream, which is passed on too (`sink.shutdownSending()`), or up to `limit` bytes.
/// Returns the number of bytes.
///
/// No byte comes into this program: the kernel moves its buffers through a pipe.  Both directions of a connection are two calls, on two green threads:
///
///     try withGreenGroup { group in
///         group.spawn { try splice(from: client, to: service) }
///         group.spawn { try splice(from: service, to: client) }
///     }
///
/// While a transfer waits for `source`, it holds no pipe; while it waits for `sink`, it holds one, which takes two descriptors.  As with `receive`, it gives way to
/// other green threads now and then.
///
/// Throws `TransferError`, which says on which side and after how many bytes: when `deadline` has passed, when the green thread was killed or its time limit is over,
/// and where the kernel reports an error.  Bytes in the pipe are lost then (`lost`); both connections stay open.  Callable from any green thread of their hub.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
@discardableResult
public func splice(
    from source: Connection, to sink: Connection, upTo limit: Int = .max, until deadline: Deadline = .never
) throws(TransferError) -> Int {
    require(limit >= 0, "splice(upTo: \(limit)): the limit is 0 bytes or more")
    var transfer = Transfer(from: source, to: sink)
    while transfer.passed < limit {
        guard let pipe = try transfer.fill(upTo: limit - transfer.passed, until: deadline) else {
            try transfer.end()
            break
        }
        try transfer.drain(pipe, until: deadline)
    }
    return transfer.passed
}

/// One direction between two connections, and how far it has come.
private struct Transfer {
    private let source: Connection
    private let sink: Connection
    private let hub: Scheduler
    private(set) var passed = 0
    /// Bytes in the pipe.
    private var pending = 0

    init(from source: Connection, to sink: Connection) {
        source.socket.checkOwner()
        sink.socket.checkOwner()
        guard case .hub(let hub) = source.socket.mode, case .hub = sink.socket.mode else {
            programmingError("splice: both connections must be of a hub")
        }
        (self.source, self.sink, self.hub) = (source, sink, hub)
    }

    /// Waits until something has come, and returns a pipe that has it.  Nil at the end of the stream.
    mutating func fill(upTo limit: Int, until deadline: Deadline) throws(TransferError) -> PipePool.Pipe? {
        let socket = source.socket
        do throws(WaitError) { try socket.takeTurn() } catch { throw failure(.source, .wait(error)) }
        while true {
            if socket.isClosed { throw failure(.source, .wait(.closed)) }
            if socket.mayReceive {
                let (count, pipe) = try receive(upTo: limit)
                if count >= 0 { return pipe }
                if count != -Int(EAGAIN) { throw failure(.source, .system(SystemError(Int32(-count)))) }
            }
            if socket.endsWhenEmpty { return nil }
            if let error = socket.waitUntilReadable(until: deadline) { throw failure(.source, .wait(error)) }
        }
    }

    /// How many bytes came; the pipe is nil where none did.
    private mutating func receive(upTo limit: Int) throws(TransferError) -> (Int, PipePool.Pipe?) {
        var result = 0
        guard let pipe = hub.fields.pointee.pipes.take(&result) else { throw failure(.pipe, result) }
        let wanted = min(limit, pipe.room)
        let count = SystemCalls.splice(from: source.socket.descriptor, intoPipe: pipe.writing, wanted)
        // Little means that there was no more: the next wait costs less than a call that finds nothing.
        source.socket.mayReceive = count >= min(wanted, 64 << 10) || count == 0
        if count > 0 {
            pending = count
            return (count, pipe)
        }
        hub.fields.pointee.pipes.giveBack(pipe)
        return (count, nil)
    }

    /// Sends all that is in `pipe`, and gives it back.
    mutating func drain(_ pipe: PipePool.Pipe, until deadline: Deadline) throws(TransferError) {
        do throws(TransferError) { try sendAll(pipe, until: deadline) } catch {
            // With bytes in it, it is for no other transfer.
            pipe.close()
            throw error
        }
        hub.fields.pointee.pipes.giveBack(pipe)
    }

    private mutating func sendAll(_ pipe: PipePool.Pipe, until deadline: Deadline) throws(TransferError) {
        while pending > 0 {
            if sink.socket.isClosed { throw failure(.sink, .wait(.closed)) }
            let count = SystemCalls.splice(fromPipe: pipe.reading, to: sink.socket.descriptor, pending)
            if count > 0 {
                pending -= count
                passed += count
            } else if count == -Int(EAGAIN) {
                if let error = sink.socket.waitUntilWritable(until: deadline) { throw failure(.sink, .wait(error)) }
            } else {
                throw failure(.sink, .system(SystemError(Int32(-count))))
            }
        }
    }

    func end() throws(TransferError) {
        do throws(NetError) { try sink.shutdownSending() } catch {
            throw TransferError(side: .sink, transferred: passed, lost: 0, error: error)
        }
    }

    // MARK: Errors

    private func failure(_ side: TransferError.Side, _ ending: NetError.Ending) -> TransferError {
        let error =
            side == .source ? NetError(.recv, ending, source.peer) : NetError(.send, ending, sink.peer)
        return TransferError(side: side, transferred: passed, lost: pending, error: error)
    }

    private func failure(_ call: NetError.Call, _ result: Int) -> TransferError {
        TransferError(
            side: .source, transferred: passed, lost: pending, error: NetError(call, result: result, source.peer))
    }
}
