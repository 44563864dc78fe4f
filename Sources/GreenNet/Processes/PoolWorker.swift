import Glibc

/// A worker process, as its pool sees it.
final class PoolWorker {
    let end: ChildEnd
    let connection: Connection
    private var frames: WorkerFrames
    private var look = ShortLook()

    /// Its pool has asked for its end: by a signal, or by closing the connection.
    private(set) var isDismissed = false
    /// It has said that it takes requests.
    var isReady = false
    /// A call has it.
    var isBusy = false
    /// How many calls it has answered.
    var answers = 0

    init(_ end: ChildEnd, _ connection: Connection, frameLimit: Int) {
        (self.end, self.connection, frames) = (end, connection, WorkerFrames(limit: frameLimit))
    }

    /// Whether it can be given a call.  It may have ended a moment ago: the kernel is asked.
    var isUsable: Bool { !isDismissed && !end.look() }

    private var isSending = false

    /// Sends bytes of a frame.
    func send(_ frame: [UInt8], until deadline: Deadline = .never) throws(NetError) {
        isSending = true
        defer { isSending = false }
        try connection.sendAll(frame, until: deadline)
    }

    /// The process has ended: what it has sent can still be received.  A process that it has started may have the socket still, and never use it.
    func endWaits() { if isSending { connection.close() } else { connection.finishReceiving() } }

    /// Waits for the next frame; nil where the stream ends, as where the process has, or what comes is no frame.
    func receive(until deadline: Deadline = .never) throws(NetError) -> WorkerFrame? {
        while true {
            // Apart from the property: the wait is not inside an access to it.
            do throws(WorkerFrames.Malformed) { if let frame = try frames.next() { return frame } } catch { return nil }
            look.beforeWait(for: connection.socket.descriptor)
            guard let view = try connection.receiveView(until: deadline) else { return nil }
            look.afterWait()
            frames.append(UnsafeRawBufferPointer(view))
        }
    }

    /// Ends it now.
    func kill() {
        isDismissed = true
        end.send(SIGKILL)
    }

    /// It ends when it sees the end of the stream, unless it is busy.
    func dismiss() {
        isDismissed = true
        end.awaitEnd()
        connection.close()
    }
}
