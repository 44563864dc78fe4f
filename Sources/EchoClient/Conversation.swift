import Glibc
import GreenNet

/// Sends standard input to the service and shows its answers, until both have ended.
///
/// Each direction has a green thread, for neither may wait for the other: a service that nobody takes answers from stops reading.
final class Conversation {
    private let connection: Connection
    /// Counted before sending, so that no answer is ever early.
    private var sent = 0
    private var received = 0

    /// For each direction.  Four times what a pipe holds.
    private static let bufferSize = 256 << 10

    init(over connection: Connection) { self.connection = connection }

    /// Gives every answer to `show`, with the news whether all is answered now and there may be more input.
    ///
    /// Throws `Failure` where not as many bytes came back as were sent or the input can't be read, an error of the network, and what
    /// `show` throws.
    func run(show: (_ answer: UnsafeRawBufferPointer, _ isComplete: Bool) throws -> Void) throws {
        let sender = spawn(name: "input") { [self] in try sendInput() }
        defer { stop(sender) }
        try withBuffer { buffer in
            while let answer = try receive(into: buffer) {
                try show(answer, received == sent && !sender.hasEnded)
                if received > sent { throw Failure.surplus(connection.peer, received: received, sent: sent) }
            }
        }
        try judge(sender)
    }

    /// At the end of the stream.
    private func judge(_ sender: Greenlet<Void>) throws {
        let isInputSent = sender.hasEnded
        // What kept the input from being sent is also the reason for what is missing.
        if isInputSent { try sender.value() }
        if received < sent { throw missing() }
        if !isInputSent { throw Failure.endedBeforeInput(connection.peer) }
    }

    private func missing(_ errno: Errno? = nil) -> Failure {
        .missing(connection.peer, received: received, sent: sent, errno)
    }

    private func stop(_ sender: Greenlet<Void>) {
        sender.kill()
        // Taken notice of, or the hub would report it as well.
        _ = try? sender.value()
    }

    /// Nil at the end of the stream.
    private func receive(into buffer: UnsafeMutableRawBufferPointer) throws -> UnsafeRawBufferPointer? {
        do throws(NetError) {
            let count = try connection.receive(into: buffer)
            received += count
            return count == 0 ? nil : UnsafeRawBufferPointer(rebasing: buffer[..<count])
        } catch {
            throw error.isBrokenOff && received < sent ? missing(error.errno) : error as any Error
        }
    }

    // MARK: Sending

    private func sendInput() throws {
        // After a failure too: the service then ends its side, and what it still owes is shown.
        defer { try? connection.shutdownSending() }
        do {
            try withBuffer { buffer in
                while let bytes = try StandardStreams.read(into: buffer) {
                    sent += bytes.count
                    try connection.sendAll(bytes)
                }
            }
        } catch let error as NetError where error.isBrokenOff {
            // Whoever receives sees the same, and knows what is missing.
        }
    }

    private func withBuffer(_ body: (UnsafeMutableRawBufferPointer) throws -> Void) rethrows {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferSize, alignment: 64)
        defer { buffer.deallocate() }
        try body(buffer)
    }
}

extension NetError {
    /// The service itself has ended the connection, without having read all of what it was sent.
    fileprivate var isBrokenOff: Bool { errno?.code == ECONNRESET || errno?.code == EPIPE }
}
