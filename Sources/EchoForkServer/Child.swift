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
        fork_limit_time(client, SO_SNDTIMEO, request.write_limit)
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

    /// EAGAIN says that a limit of time is over which the kernel was given.
    private func status(_ error: Int) -> Int32 { error == -Int(EAGAIN) ? ETIME : Int32(min(-error, 127)) }

    // MARK: Sending

    private func send(_ bytes: UnsafeRawBufferPointer) -> Int {
        var (rest, deadline) = (bytes, deadline())
        while true {
            let sent = fork_send(client, rest.baseAddress, rest.count)
            if sent < 0 || sent == rest.count { return min(sent, 0) }
            // It took some before the limit was over, or a signal came.
            rest = UnsafeRawBufferPointer(rebasing: rest[sent...])
            if !isWritable(until: deadline) { return -Int(EAGAIN) }
            deadline = self.deadline()
        }
    }

    /// By when the client has to take more; nil for no limit.
    private func deadline() -> Int64? { request.write_limit > 0 ? fork_now() + request.write_limit : nil }

    private func isWritable(until deadline: Int64?) -> Bool {
        guard let deadline else { return true }
        return fork_wait_writable(client, deadline - fork_now()) != 0
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
