import Glibc

/// An open socket and who waits for it, in raw memory: libev keeps the address of the watchers, and a green thread parks while it
/// works on this.  All but `writing` lies in one cache line.
///
/// Only this file knows what waiting means.  On a hub the socket doesn't block: the green thread is parked, and the hub's loop wakes it.
/// Elsewhere, on a plain OS thread or in a child process, it does: the kernel waits, inside `recv` and `send`.
struct SocketState {
    // First, for the callback; its context is the hub.
    fileprivate var readable = IOWatcher()
    fileprivate var reader: GreenThread?
    /// Never changes.
    fileprivate(set) var descriptor: Int32
    /// A `recv` may find something: nothing was read yet, the last read filled its buffer, or the loop has said so while nobody
    /// waited.  A read that didn't fill its buffer has emptied the socket; another would only say EAGAIN.
    var mayReceive = true
    /// Once the socket is empty, that counts as the end of the stream.
    var endsWhenEmpty = false
    var isClosed = false
    /// The last attempt to watch it failed, for want of the kernel's memory.
    fileprivate var isUnwatched = false

    /// Nil until the other side was too slow once: few that are served ever wait to send.
    fileprivate var writing: UnsafeMutablePointer<WritingState>?

    init(descriptor: Int32, mayReceive: Bool = true) { (self.descriptor, self.mayReceive) = (descriptor, mayReceive) }

    /// Nil: a blocking socket, with no hub; a `BlockingState` follows in memory.
    @inline(__always)
    var hub: Scheduler? { readable.context.map { Scheduler($0) } }
}

/// What waiting to send needs.
private struct WritingState {
    // First, for the callback.
    var writable = IOWatcher()
    var writer: GreenThread?
    var isUnwatched = false
}

extension UnsafeMutablePointer<WritingState> {
    fileprivate static func make(_ descriptor: Int32) -> Self {
        let state = allocate(capacity: 1)
        state.initialize(to: WritingState())
        state.watcher.set(.writable, of: descriptor, callback: becameWritable)
        return state
    }

    fileprivate var watcher: UnsafeMutablePointer<IOWatcher> { withUnsafeMutablePointer(to: &pointee.writable) { $0 } }
}

/// What only a blocking socket needs.
struct BlockingState {
    /// How long the kernel lets a call take, in nanoseconds, as it was told last; `Int64.max` for ever.
    fileprivate var receiveLimit = Int64.max
    fileprivate var sendLimit = Int64.max
    /// There is no hub to share one with.
    var receiveBuffer: SharedBuffer
}

typealias Socket = UnsafeMutablePointer<SocketState>

extension Socket {
    /// `priority` orders the events of one pass of the loop: listeners come after the connections that are being served.
    static func make(_ descriptor: Int32, priority: Int32 = 0) -> Socket {
        let hub = Hub.currentThread.scheduler
        let socket = allocate(MemoryLayout<SocketState>.size)
        socket.initialize(to: SocketState(descriptor: descriptor))
        socket.reading.set(
            .readable, of: descriptor, context: hub.address, priority: priority, callback: becameReadable)
        hub.noteDescriptor(descriptor)
        return socket
    }

    /// In one piece with its receive buffer: among a thousand clients, each page that a message touches is one more to be looked up.
    static func makeBlocking(_ descriptor: Int32, receiveBufferSize: Int) -> Socket {
        let states = MemoryLayout<SocketState>.size + MemoryLayout<BlockingState>.size
        let offset = (states + 63) & ~63  // the buffer begins with a cache line
        let socket = allocate(offset + receiveBufferSize)
        socket.initialize(to: SocketState(descriptor: descriptor, mayReceive: false))
        let buffer = UnsafeMutableRawPointer(socket) + offset
        socket.blocking.initialize(
            to: BlockingState(receiveBuffer: SharedBuffer(.init(start: buffer, count: receiveBufferSize))))
        return socket
    }

    private static func allocate(_ bytes: Int) -> Socket {
        UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64).assumingMemoryBound(to: SocketState.self)
    }

    /// Once nobody waits any more: a waiter that `close` has woken still looks here.
    func free() {
        close()
        letGo()
    }

    /// Frees it, and leaves open the descriptor, which is somebody else's.  Once nobody waits any more.
    func letGo() {
        stopWatching()
        pointee.writing?.deallocate()
        UnsafeMutableRawPointer(self).deallocate()
    }

    /// Closes the descriptor, once, after those who wait for it were told.
    func close() {
        guard !pointee.isClosed else { return }
        pointee.isClosed = true
        // Before the close: libev must not hold a number that the kernel may give away again at once.
        stopWatching()
        SystemCalls.close(pointee.descriptor)
        pointee.reader?.wake(.closed)
        pointee.writing?.pointee.writer?.wake(.closed)
    }

    /// The hub is asked only where its loop knows the socket: it may have ended before, and has let go of all sockets then.
    private func stopWatching() {
        if reading.isKnownToLoop { reading.stop(on: pointee.hub!.loop) }
        guard let writing = pointee.writing?.watcher, writing.isKnownToLoop else { return }
        writing.stop(on: pointee.hub!.loop)
    }

    private var reading: UnsafeMutablePointer<IOWatcher> { withUnsafeMutablePointer(to: &pointee.readable) { $0 } }

    private var writing: UnsafeMutablePointer<WritingState> {
        if pointee.writing == nil { pointee.writing = .make(pointee.descriptor) }
        return pointee.writing!
    }

    /// Where the descriptor lies: what a wait for it has for its detail.
    private var address: UInt64 { withUnsafeMutablePointer(to: &pointee.descriptor) { UInt64(UInt(bitPattern: $0)) } }

    /// Only where `hub` is nil.
    var blocking: UnsafeMutablePointer<BlockingState> {
        UnsafeMutableRawPointer(self + 1).assumingMemoryBound(to: BlockingState.self)
    }

    // MARK: Waiting

    /// Whoever doesn't have to wait gives way now and then all the same, and sees whether it was killed.
    @inline(__always)
    func takeTurn() throws(WaitError) {
        guard let hub = pointee.hub, let thread = Context.running else { return }
        assert(thread.scheduler == hub, "a socket is used on the OS thread that made it")
        try thread.takeTurn()
    }

    /// Nil once a `recv` may find something.
    ///
    /// On a hub the watcher stays started when the wait is over: while data is read as fast as it comes, no system call is made for it.
    func waitUntilReadable(until deadline: Deadline) -> WaitError? {
        if pointee.isClosed { return .closed }
        guard let hub = pointee.hub else {
            let error = limitCall(.readable, &blocking.pointee.receiveLimit, until: deadline)
            pointee.mayReceive = error == nil
            return error
        }
        if pointee.reader != nil { stopForTwo("receive from") }
        let thread = Context.running!
        if !reading.isActive { reading.start(on: hub.loop) }
        pointee.reader = thread
        hub.prefetchNext()
        let wake = thread.wait(for: .readable, address, until: deadline)
        pointee.reader = nil
        if wake != .event, let error = unlessReady(.readable, thread.error(after: wake)) { return error }
        if pointee.isUnwatched {
            pointee.isUnwatched = false
            if let error = waitUnwatched(.readable, thread, until: deadline) { return error }
        }
        pointee.mayReceive = true
        return nil
    }

    /// Apart from the waits, whose frames every parked connection holds: making the message takes room in them.
    @inline(never)
    private func stopForTwo(_ what: String) -> Never {
        programmingError("two green threads \(what) descriptor \(pointee.descriptor)")
    }

    /// Nil once a `send` may find room.
    ///
    /// A socket that can be written to always says so: the watcher is stopped when the wait is over.
    func waitUntilWritable(until deadline: Deadline) -> WaitError? {
        if pointee.isClosed { return .closed }
        guard let hub = pointee.hub else { return limitCall(.writable, &blocking.pointee.sendLimit, until: deadline) }
        let writing = writing
        if writing.pointee.writer != nil { stopForTwo("send to") }
        let thread = Context.running!
        writing.watcher.start(on: hub.loop)
        writing.pointee.writer = thread
        let wake = thread.wait(for: .writable, address, until: deadline)
        writing.pointee.writer = nil
        if !pointee.isClosed { writing.watcher.stop(on: hub.loop) }
        guard wake == .event else { return unlessReady(.writable, thread.error(after: wake)) }
        guard writing.pointee.isUnwatched else { return nil }
        writing.pointee.isUnwatched = false
        return waitUnwatched(.writable, thread, until: deadline)
    }

    /// Nil once a `send` may find room on one of `sockets`, or one of them has failed: the caller looks which.  It may also be none.  For one green
    /// thread that waits for all of them; none may be closed meanwhile.
    static func waitUntilOneIsWritable(_ sockets: [Socket], until deadline: Deadline) -> WaitError? {
        let thread = Context.running!
        for socket in sockets {
            require(
                socket.writing.pointee.writer == nil,
                "two green threads send to descriptor \(socket.pointee.descriptor)")
            socket.writing.watcher.start(on: thread.scheduler.loop)
            socket.writing.pointee.writer = thread
        }
        let wake = thread.wait(for: .writable, sockets[0].address, until: deadline)
        var areWatched = true
        for socket in sockets {
            socket.writing.pointee.writer = nil
            socket.writing.watcher.stop(on: thread.scheduler.loop)
            if socket.writing.pointee.isUnwatched { areWatched = false }
            socket.writing.pointee.isUnwatched = false
        }
        if wake != .event || areWatched { return thread.error(after: wake) }
        let error = thread.error(after: thread.wait(for: .sleep, until: Swift.min(.after(BackOff.shortest), deadline)))
        return error == .deadlinePassed && !deadline.hasPassed ? nil : error
    }

    /// Nobody will tell when it is ready.  So the kernel is asked every now and then: a connection gets on slowly until the kernel has memory
    /// again, and the processor is left to the others.
    @inline(never)
    private func waitUnwatched(
        _ direction: Direction, _ thread: GreenThread, until deadline: Deadline
    ) -> WaitError? {
        let limit = Swift.min(deadline, thread.scopeDeadline)
        while true {
            let error = thread.error(
                after: thread.wait(for: .sleep, until: Swift.min(.after(BackOff.shortest), limit)))
            // First, for the number may be somebody else's by then.
            if pointee.isClosed { return .closed }
            if pointee.endsWhenEmpty || SystemCalls.poll(pointee.descriptor, for: direction) != 0 { return nil }
            if error != .deadlinePassed || limit.hasPassed { return error }
        }
    }

    /// A deadline that has passed counts only where the kernel has nothing after all.
    ///
    /// A process that was stopped, or had no processor, finds all its timers due at once, while the kernel tells a loop of so many
    /// descriptors at a time: those of the others would be taken for idle, whatever their clients had sent meanwhile.
    @inline(never)  // Rare: the frames of those that wait stay small.
    private func unlessReady(_ direction: Direction, _ error: WaitError?) -> WaitError? {
        guard error == .deadlinePassed, !pointee.isClosed else { return error }
        return SystemCalls.poll(pointee.descriptor, for: direction) > 0 ? nil : error
    }

    /// What is to be done before a `send` that is tried without waiting for room first: a blocking one must know its limit.
    @inline(__always)
    func prepareToSend(until deadline: Deadline) -> WaitError? {
        pointee.hub == nil ? limitCall(.writable, &blocking.pointee.sendLimit, until: deadline) : nil
    }

    /// Nanoseconds for a call that is made though its deadline has passed: it would not end, with no limit, where it takes less than it could.
    private static var shortestLimit: Int64 { 1_000_000 }

    /// Tells the kernel how long a blocking call may take.  A length of time that hardly differs from the last one is not told again: with
    /// a deadline that moves on with each message, that saves a system call for each.
    @inline(__always)
    private func limitCall(
        _ direction: Direction, _ last: inout Int64, until deadline: Deadline
    ) -> WaitError? {
        if deadline == .never, last == Int64.max { return nil }
        return changeLimit(direction, &last, until: deadline)
    }

    private func changeLimit(
        _ direction: Direction, _ last: inout Int64, until deadline: Deadline
    ) -> WaitError? {
        var left = deadline == .never ? Int64.max : (deadline - .now).nanoseconds
        if left <= 0 {
            if let error = unlessReady(direction, .deadlinePassed) { return error }
            left = Socket.shortestLimit
        }
        let isGoodEnough = last == left || last != Int64.max && last >= left / 2 && last <= left &+ 10_000_000
        if isGoodEnough { return nil }
        last = left
        let option = direction == .readable ? SO_RCVTIMEO : SO_SNDTIMEO
        _ = SystemCalls.setTimeLimit(pointee.descriptor, option, nanoseconds: left == Int64.max ? 0 : left)
        return nil
    }

    /// Ends the wait of whoever receives, as if something had come.
    func wakeReader() {
        pointee.mayReceive = true
        pointee.reader?.wake(.event)
    }

    // MARK: In the loop

    @inline(__always)
    fileprivate func readabilityCame(_ priority: Int32) {
        if let reader = pointee.reader { return reader.wakeByDescriptor(priority) }
        // Nobody wants it now (the green thread is busy, say in a send that waits).  The kernel would go on telling.
        pointee.mayReceive = true
        reading.stop(on: pointee.hub!.loop)
    }
}

private let becameReadable: IOWatcher.Callback = { _, watcher, events in
    let socket = IOWatcher.owner(watcher, as: SocketState.self)
    if IOWatcher.isRefused(events) { socket.pointee.isUnwatched = true }
    socket.readabilityCame(IOWatcher.priority(watcher))
}

private let becameWritable: IOWatcher.Callback = { _, watcher, events in
    let writing = IOWatcher.owner(watcher, as: WritingState.self)
    if IOWatcher.isRefused(events) { writing.pointee.isUnwatched = true }
    writing.pointee.writer?.wakeByDescriptor(IOWatcher.priority(watcher))
}
