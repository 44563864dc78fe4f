import Glibc

extension Connection {
    /// Sends a file, or `count` bytes of it from `offset` on, and returns how many bytes it was.  No byte comes into this program (sendfile).
    ///
    /// Only what the kernel has in memory comes at once: where it has to read from a slow disk, the whole OS thread waits.
    ///
    /// Throws `TransferError`, which says on which side and after how many bytes: where the file can't be opened or is no regular file; where it ends before
    /// `count` bytes, with `endOfStream`; when `deadline` has passed, when the green thread was killed or its time limit is over; and where the kernel
    /// reports an error.  An offset behind the file's end is no error without `count`: it sends nothing.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func sendFile(
        _ path: String, from offset: Int = 0, count: Int? = nil, until deadline: Deadline = .never
    ) throws(TransferError) -> Int {
        let result = path.utf8.contains(0) ? -Int(EINVAL) : SystemCalls.openToRead(path)
        if result < 0 {
            throw TransferError(
                side: .source, transferred: 0, lost: 0, error: NetError(.open, result: result, subject: path))
        }
        defer { SystemCalls.close(Int32(result)) }
        return try send(FilePart(Int32(result), path, offset, count), until: deadline)
    }

    /// The same for a file that is open, by its descriptor, which stays the caller's.  Its own offset is neither used nor moved.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func sendFile(
        descriptor: Int32, from offset: Int = 0, count: Int? = nil, until deadline: Deadline = .never
    ) throws(TransferError) -> Int {
        try send(FilePart(descriptor, "descriptor \(descriptor)", offset, count), until: deadline)
    }

    private func send(_ file: FilePart, until deadline: Deadline) throws(TransferError) -> Int {
        try file.check()
        var sent = 0
        while sent < file.wanted {
            let count = try sendSome(of: file, sent, until: deadline)
            if count == 0 {
                if file.count != nil { throw file.ended(after: sent) }
                break
            }
            sent += count
            do throws(WaitError) { try socket.takeTurn() } catch { throw failure(.wait(error), after: sent) }
        }
        return sent
    }

    /// 0 at the end of the file.
    private func sendSome(of file: FilePart, _ sent: Int, until deadline: Deadline) throws(TransferError) -> Int {
        var error = socket.prepareToSend(until: deadline)
        while true {
            if let error { throw failure(.wait(error), after: sent) }
            if socket.isClosed { throw failure(.wait(.closed), after: sent) }
            // Not all at once: others have their turn.
            let start = file.offset + sent
            let part = min(file.wanted - sent, 1 << 20, .max - start)
            let result = SystemCalls.send(socket.descriptor, file: file.descriptor, from: start, part)
            if result >= 0 { return result }
            // Behind the longest file that the file system can have.
            if result == -Int(EOVERFLOW) { return 0 }
            if result != -Int(EAGAIN) { throw failure(.system(SystemError(Int32(-result))), after: sent) }
            error = socket.waitUntilWritable(until: deadline)
        }
    }

    private func failure(_ ending: NetError.Ending, after sent: Int) -> TransferError {
        TransferError(side: .sink, transferred: sent, lost: 0, error: NetError(.send, ending, peer))
    }
}

/// What is to be sent of a file.
private struct FilePart {
    let descriptor: Int32
    let name: String
    let offset: Int
    /// Nil: up to the file's end.
    let count: Int?

    init(_ descriptor: Int32, _ name: String, _ offset: Int, _ count: Int?) {
        (self.descriptor, self.name, self.offset, self.count) = (descriptor, name, offset, count)
    }

    var wanted: Int { count ?? .max }

    func check() throws(TransferError) {
        if offset < 0 { throw failure(.invalid("the offset \(offset) is below 0")) }
        if wanted < 0 { throw failure(.invalid("the count \(wanted) is below 0")) }
        if offset.addingReportingOverflow(count ?? 0).overflow {
            throw failure(.invalid("\(wanted) bytes from \(offset) on are more than a file can have"))
        }
        switch SystemCalls.kind(of: descriptor) {
        case S_IFREG: return
        case 0: throw failure(.system(SystemError(EBADF)))
        case S_IFDIR: throw failure(.system(SystemError(EISDIR)))
        default: throw failure(.invalid("it is not a regular file"))
        }
    }

    func ended(after sent: Int) -> TransferError {
        failure(.endOfStream(received: sent, wanted: wanted), after: sent)
    }

    private func failure(_ ending: NetError.Ending, after sent: Int = 0) -> TransferError {
        TransferError(side: .source, transferred: sent, lost: 0, error: NetError(.sendfile, ending, subject: name))
    }
}
