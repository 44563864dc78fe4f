/// An open socket and who waits for it, in raw memory: libev keeps the address of the watchers, and a green thread parks while it
/// works on this.  Two cache lines, the first for receiving.
///
/// Only this file knows what waiting means: here the green thread is parked and the hub's loop wakes it.
struct SocketState {
    fileprivate var readable = IOWatcher()
    fileprivate var reader: GreenThread?
    let descriptor: Int32
    /// A `recv` may find something: nothing was read yet, the last read filled its buffer, or the loop has said so while nobody
    /// waited.  A read that didn't fill its buffer has emptied the socket; another would only say EAGAIN.
    var mayReceive = true
    /// Once the socket is empty, that counts as the end of the stream.
    var endsWhenEmpty = false
    var isClosed = false

    fileprivate var writable = IOWatcher()
    fileprivate var writer: GreenThread?
    let hub: HubPointer
}

typealias Socket = UnsafeMutablePointer<SocketState>

extension Socket {
    /// `priority` orders the events of one pass of the loop: listeners come after the connections that are being served.
    static func make(_ descriptor: Int32, priority: Int32 = 0) -> Socket {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: MemoryLayout<SocketState>.size, alignment: 64)
        let hub = Hub.currentThread.hub
        let socket = memory.initializeMemory(as: SocketState.self, to: SocketState(descriptor: descriptor, hub: hub))
        socket.reading.set(.readable, of: descriptor, context: socket, priority: priority, callback: becameReadable)
        socket.writing.set(.writable, of: descriptor, context: socket, callback: becameWritable)
        return socket
    }

    /// Once nobody waits any more: a waiter that `close` has woken still looks here.
    func free() {
        close()
        UnsafeMutableRawPointer(self).deallocate()
    }

    /// Frees it, and leaves open the descriptor, which is somebody else's.  Once nobody waits any more.
    func letGo() {
        reading.stop(on: pointee.hub.pointee.loop)
        writing.stop(on: pointee.hub.pointee.loop)
        UnsafeMutableRawPointer(self).deallocate()
    }

    /// Closes the descriptor, once, after those who wait for it were told.
    func close() {
        guard !pointee.isClosed else { return }
        pointee.isClosed = true
        // Before the close: libev must not hold a number that the kernel may give away again at once.
        reading.stop(on: pointee.hub.pointee.loop)
        writing.stop(on: pointee.hub.pointee.loop)
        SystemCalls.close(pointee.descriptor)
        pointee.reader?.wake(.closed)
        pointee.writer?.wake(.closed)
    }

    private var reading: UnsafeMutablePointer<IOWatcher> { withUnsafeMutablePointer(to: &pointee.readable) { $0 } }
    private var writing: UnsafeMutablePointer<IOWatcher> { withUnsafeMutablePointer(to: &pointee.writable) { $0 } }

    // MARK: Waiting

    /// The watcher stays started when the wait is over: while data is read as fast as it comes, no system call is made for it.
    func waitUntilReadable(_ thread: GreenThread, until deadline: Deadline) -> WaitError? {
        if pointee.isClosed { return .closed }
        precondition(pointee.reader == nil, "two green threads receive from descriptor \(pointee.descriptor)")
        if !reading.isActive { reading.start(on: pointee.hub.pointee.loop) }
        pointee.reader = thread
        let wake = thread.wait(for: .readable, UInt64(pointee.descriptor), until: deadline)
        pointee.reader = nil
        if wake == .event {
            pointee.mayReceive = true
            return nil
        }
        return thread.error(after: wake)
    }

    /// A socket that can be written to always says so: the watcher is stopped when the wait is over.
    func waitUntilWritable(_ thread: GreenThread, until deadline: Deadline) -> WaitError? {
        if pointee.isClosed { return .closed }
        precondition(pointee.writer == nil, "two green threads send to descriptor \(pointee.descriptor)")
        writing.start(on: pointee.hub.pointee.loop)
        pointee.writer = thread
        let wake = thread.wait(for: .writable, UInt64(pointee.descriptor), until: deadline)
        pointee.writer = nil
        if !pointee.isClosed { writing.stop(on: pointee.hub.pointee.loop) }
        return thread.error(after: wake)
    }

    /// Ends the wait of whoever receives, as if something had come.
    func wakeReader() {
        pointee.mayReceive = true
        pointee.reader?.wake(.event)
    }

    // MARK: In the loop

    @inline(__always)
    fileprivate func readabilityCame() {
        if let reader = pointee.reader { return reader.wake(.event) }
        // Nobody wants it now (the green thread is busy, say in a send that waits).  The kernel would go on telling.
        pointee.mayReceive = true
        reading.stop(on: pointee.hub.pointee.loop)
    }

    fileprivate func writabilityCame() { pointee.writer?.wake(.event) }
}

private let becameReadable: IOWatcher.Callback = { _, watcher, _ in
    IOWatcher.context(watcher, as: SocketState.self).readabilityCame()
}

private let becameWritable: IOWatcher.Callback = { _, watcher, _ in
    IOWatcher.context(watcher, as: SocketState.self).writabilityCame()
}
