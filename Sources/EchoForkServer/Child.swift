import CForkServer

/// Serves one client, over a socket that blocks, as `EchoHandler` does over a `Connection`.
struct Child {
    let client: Int32
    let request: fork_request
    let counters: UnsafeMutablePointer<Int64>
    let buffer: UnsafeMutableRawBufferPointer

    /// Returns the exit status.
    func serve() -> Int32 {
        fork_limit_time(client, SO_RCVTIMEO, request.idle_limit)
        while true {
            let count = fork_receive(client, buffer.baseAddress, buffer.count)
            if count < 0 { return status(count) }
            if count == 0 { break }
            let sent = answer(count)
            if sent < 0 { return Int32(fork_in_send) + status(sent) }
        }
        if ChildSignals.isFinishing { linger() }
        return 0
    }

    /// A negative number of an error where it is not sent.
    private func answer(_ count: Int) -> Int {
        fork_count(counters + Int(fork_reads), 1)
        fork_count(counters + Int(fork_bytes_in), Int64(count))
        let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        transform(bytes)
        let result = send(UnsafeRawBufferPointer(bytes))
        if result == 0 { fork_count(counters + Int(fork_bytes_out), Int64(count)) }
        return result
    }

    private func transform(_ bytes: UnsafeMutableRawBufferPointer) {
        switch UInt32(request.transform) {
        case fork_upper.rawValue: uppercase(bytes)
        case fork_lower.rawValue: lowercase(bytes)
        case fork_rot13.rawValue: rotate(bytes)
        default: break
        }
    }

    /// EAGAIN says that a limit of time is over.
    private func status(_ error: Int) -> Int32 { error == -Int(EAGAIN) ? ETIME : Int32(min(-error, 127)) }

    // MARK: Sending

    /// As `Connection.sendAll(_:stall:)`: within each `write_limit` the client has to take something, and a client that goes on reading is not given up.
    private func send(_ bytes: UnsafeRawBufferPointer) -> Int {
        var rest = bytes
        while true {
            let sent = fork_send(client, rest.baseAddress, rest.count)
            if sent == rest.count { return 0 }
            if sent < 0, sent != -Int(EAGAIN) { return sent }
            rest = UnsafeRawBufferPointer(rebasing: rest[max(0, sent)...])
            if fork_wait_writable(client, request.write_limit) == 0 { return -Int(EAGAIN) }
        }
    }

    // MARK: At the end

    /// As `Connection.linger(within:)`: a close with unread bytes would take back what is on its way to the client.
    private func linger() {
        let deadline = fork_now() + 500_000_000
        while true {
            // Asked first: what the client sent before it acknowledged the last byte is dropped behind it.
            let isTaken = fork_unacknowledged(client) <= 0
            while fork_receive(client, buffer.baseAddress, buffer.count) > 0, fork_now() < deadline {}
            if isTaken || fork_now() >= deadline { return }
            usleep(1000)
        }
    }
}
