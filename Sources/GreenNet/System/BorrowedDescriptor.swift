import Glibc

/// A descriptor that others use too, such as standard input: it is neither made non-blocking, which all of them would feel, nor
/// closed.
///
/// A pipe, a terminal, a socket, or a file, which is always ready.  Its owner leaves it open while a green thread waits for it.
package struct BorrowedDescriptor: Sendable {
    package static let standardInput = BorrowedDescriptor(STDIN_FILENO)
    package static let standardOutput = BorrowedDescriptor(STDOUT_FILENO)
    package static let standardError = BorrowedDescriptor(STDERR_FILENO)

    package let number: Int32

    package init(_ number: Int32) { self.number = number }

    // MARK: Waiting

    /// Parks the green thread until a `read` would return at once: with data, the end, or an error.
    /// Throws when `deadline` has passed or the green thread was killed, and EBADF where the descriptor is not open.
    package func waitUntilReadable(until deadline: Deadline = .never) throws(NetError) {
        try wait(.read, for: .readable, until: deadline)
    }

    /// Parks the green thread until a `write` of a few bytes would return at once.  Throws as `waitUntilReadable` does.
    package func waitUntilWritable(until deadline: Deadline = .never) throws(NetError) {
        try wait(.write, for: .writable, until: deadline)
    }

    private func wait(
        _ call: NetError.Call, for direction: Direction, until deadline: Deadline
    ) throws(NetError) {
        let readiness = SystemCalls.poll(number, for: direction)
        if readiness < 0 { throw NetError(call, result: readiness, nil) }
        do throws(WaitError) {
            // Only what makes one wait is watched: epoll refuses files, and libev aborts over a number that is not open.
            if readiness == 0 { try park(for: direction, until: deadline) } else { try Greenlet.yield() }
        } catch {
            throw NetError(call, .wait(error), nil)
        }
    }

    private func park(for direction: Direction, until deadline: Deadline) throws(WaitError) {
        let socket = Socket.make(number)
        defer { socket.letGo() }
        let error =
            switch direction {
            case .readable: socket.waitUntilReadable(until: deadline)
            case .writable: socket.waitUntilWritable(until: deadline)
            }
        if let error { throw error }
    }

    // MARK: Reading and writing

    /// Waits until something has come, reads as much of it as is there and fits, and returns how many bytes; 0 at the end.
    /// Throws as `waitUntilReadable` does, and where the kernel says so.
    package func read(
        into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline = .never
    ) throws(NetError) -> Int {
        while true {
            try waitUntilReadable(until: deadline)
            let count = SystemCalls.read(number, into: buffer)
            if count >= 0 { return count }
            // Another process has made it non-blocking, and was faster.
            if count != -Int(EAGAIN) { throw NetError(.read, result: count, nil) }
        }
    }

    /// Writes all of `bytes`.  Blocks the whole OS thread while the other side is slow, unless another program has made the descriptor
    /// non-blocking.  Throws as `waitUntilWritable` does, and where the kernel says so: EPIPE only where SIGPIPE is ignored.
    package func writeAll(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline = .never) throws(NetError) {
        var rest = bytes
        while !rest.isEmpty {
            let count = SystemCalls.write(number, rest)
            if count >= 0 {
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            } else if count == -Int(EAGAIN) {
                try waitUntilWritable(until: deadline)
            } else {
                throw NetError(.write, result: count, nil)
            }
        }
    }

    /// Throws what closing it would report, such as ENOSPC on a network's file system, and leaves it open.
    package func checkWritten() throws(NetError) {
        let result = SystemCalls.closeCopy(of: number)
        if result < 0 { throw NetError(.write, result: result, nil) }
    }
}
