extension Connection {
    /// To be called before the close, when the last answer was sent: gives the client `length` at most to take it.
    ///
    /// A close with unread bytes would reset the connection, and take with it what is still on its way to the client.  So what the client still sends is
    /// received and dropped, up to `limit` bytes, until it ends its stream.
    ///
    /// On a hub, the client is first sent the end of the stream.  A blocking connection must have been shut down for receiving by then: no call on it waits
    /// any more, and the kernel is asked every millisecond whether the client has acknowledged all bytes.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func linger(within length: Duration, dropping limit: Int = .max) {
        let deadline = Deadline.after(length)
        switch socket.mode {
        case .hub:
            try? shutdownSending()
            drop(limit, until: deadline)
        case .blocking:
            while true {
                // Asked first: what the client sent before it acknowledged the last byte is dropped behind it.
                let isTaken = SystemCalls.unacknowledgedBytes(socket.descriptor) <= 0
                drop(limit, until: deadline)
                if isTaken || deadline.hasPassed { return }
                SystemCalls.sleep(.milliseconds(1))
            }
        }
    }

    /// Receives and drops what comes, until the end of the stream.
    private func drop(_ limit: Int, until deadline: Deadline) {
        var dropped = 0
        while dropped < limit, !deadline.hasPassed, let bytes = try? receiveView(until: deadline) {
            dropped += bytes.count
        }
    }
}
