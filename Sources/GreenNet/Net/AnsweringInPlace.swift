import Glibc

extension Connection {
    /// Calls `body` with memory to receive into: with `onStack`, on the stack of the calling OS thread, on the page of the frames that `body` makes.  Other pages are
    /// not touched for a message then: among a thousand clients, each is one more that the processor has to look up.  Where the buffer has more than
    /// `mostOnStack` bytes, it lies on the heap all the same.
    package func withReceiveBuffer(
        onStack: Bool, _ body: (UnsafeMutableRawBufferPointer) throws(NetError) -> Void
    ) throws(NetError) {
        let own = socket.receiveBuffer
        guard onStack, own.pointee.size <= Connection.mostOnStack else { return try body(own.pointee.bytes()) }
        var problem: NetError?
        LinuxCalls.withStackBytes(own.pointee.size, colour: socket.descriptor) { buffer in
            do throws(NetError) { try body(buffer) } catch { problem = error }
        }
        if let problem { throw problem }
    }

    /// Of the 256 KiB that an OS thread has.
    private static var mostOnStack: Int { 64 << 10 }

    /// Receives into `buffer`, calls `change` with what came, and sends it back as `change` has left it, until the end of the stream; calls `sent` when the kernel
    /// has taken all of a piece.  Without time limits, and for a connection that blocks.
    ///
    /// The caches have nothing of an OS thread when the kernel resumes it for a message.  So all that is needed lies in this frame, and neither the connection nor
    /// its socket is looked at.
    ///
    /// Throws as `receive(until:)` and `sendAll(_:until:)` do.  `change` and `sent` must not use the connection.
    @inline(never)
    package func answerInPlace(
        in buffer: UnsafeMutableRawBufferPointer, change: (UnsafeMutableRawBufferPointer) -> Void, sent: (Int) -> Void
    ) throws(NetError) {
        if let error = socket.waitUntilReadable(until: .never) { throw failure(.recv, error) }
        if let error = socket.prepareToSend(until: .never) { throw failure(.send, error) }
        let descriptor = socket.descriptor
        while true {
            let count = SystemCalls.receive(descriptor, into: buffer)
            if count <= 0 {
                if count == 0 { return }
                if count == -Int(EAGAIN) { continue }
                throw failure(.recv, result: count)
            }
            let bytes = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count)
            change(bytes)
            let taken = SystemCalls.send(descriptor, UnsafeRawBufferPointer(bytes))
            if taken < count { try sendRest(of: UnsafeRawBufferPointer(bytes), afterResult: taken) }
            sent(count)
        }
    }

    /// After a call that has not taken all.
    @inline(never)
    private func sendRest(of bytes: UnsafeRawBufferPointer, afterResult result: Int) throws(NetError) {
        guard result >= 0 || result == -Int(EAGAIN) else { throw failure(.send, result: result) }
        try sendRest(of: bytes, after: max(0, result), until: .never)
    }
}
