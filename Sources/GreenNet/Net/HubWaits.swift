/// How a socket of a hub waits: the green thread is parked, and the hub's loop wakes it.
extension Socket {
    @inline(__always)
    func takeTurn(on hub: Scheduler) throws(WaitError) {
        // Elsewhere it may be that its hub has closed, or that this process is a forked child.
        guard let thread = Context.running, thread.scheduler == hub else { return checkOwner() }
        try thread.takeTurn()
    }

    // MARK: Waiting

    /// The watcher stays started when the wait is over: while data is read as fast as it comes, no system call is made for it.
    @inline(__always)
    func parkUntilReadable(on hub: Scheduler, until deadline: Deadline) -> WaitError? {
        let thread = thread(on: hub)
        if state.pointee.reader != nil { stopForTwo("receive from") }
        if !reading.isActive { reading.start(on: hub.loop) }
        state.pointee.reader = thread
        hub.prefetchNext()
        let wake = thread.waitHere(for: .readable, address, until: deadline)
        state.pointee.reader = nil
        if wake != .event, let error = unlessReady(.readable, thread.error(after: wake)) { return error }
        if state.pointee.isUnwatched {
            state.pointee.isUnwatched = false
            if let error = waitUnwatched(.readable, thread, until: deadline) { return error }
        }
        mayReceive = true
        return nil
    }

    /// A socket that can be written to is always ready: the watcher is stopped when the wait is over.
    @inline(__always)
    func parkUntilWritable(on hub: Scheduler, until deadline: Deadline) -> WaitError? {
        let thread = thread(on: hub)
        let writing = writing
        if writing.pointee.writer != nil { stopForTwo("send to") }
        writing.watcher.start(on: hub.loop)
        writing.pointee.writer = thread
        let wake = thread.wait(for: .writable, address, until: deadline)
        writing.pointee.writer = nil
        if !isClosed { writing.watcher.stop(on: hub.loop) }
        guard wake == .event else { return unlessReady(.writable, thread.error(after: wake)) }
        guard writing.pointee.isUnwatched else { return nil }
        writing.pointee.isUnwatched = false
        return waitUnwatched(.writable, thread, until: deadline)
    }

    /// Apart from the waits, whose frames every parked connection holds: making the message takes room in them.
    @inline(never)
    private func stopForTwo(_ what: String) -> Never {
        programmingError("two green threads \(what) descriptor \(descriptor)")
    }

    /// Returns nil once a `send` may find room on one of `sockets`, or one of them has failed: the caller looks which.  It may also be none.  For one green
    /// thread that waits for all of them; none may be closed meanwhile.
    static func waitUntilOneIsWritable(_ sockets: [Socket], until deadline: Deadline) -> WaitError? {
        let thread = Context.running!
        for socket in sockets {
            if socket.writing.pointee.writer != nil { socket.stopForTwo("send to") }
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
        let error = thread.error(after: thread.wait(for: .sleep, until: min(.after(BackOff.shortest), deadline)))
        return error == .deadlinePassed && !deadline.hasPassed ? nil : error
    }

    /// Waits for a socket that the loop does not watch, by asking the kernel every now and then: a connection gets on slowly until the kernel has memory
    /// again, and the processor is left to the others.
    @inline(never)
    private func waitUnwatched(
        _ direction: Direction, _ thread: GreenThread, until deadline: Deadline
    ) -> WaitError? {
        let limit = min(deadline, thread.scopeDeadline)
        while true {
            let error = thread.error(after: thread.wait(for: .sleep, until: min(.after(BackOff.shortest), limit)))
            // First, for the number may have another owner by then.
            if isClosed { return .closed }
            if endsWhenEmpty || SystemCalls.poll(descriptor, for: direction) != 0 { return nil }
            if error != .deadlinePassed || limit.hasPassed { return error }
        }
    }

    /// Ends the wait of the receiver, as if something had come.
    func wakeReader() {
        mayReceive = true
        state.pointee.reader?.wake(.event)
        endRest()
    }

    /// Where it rests, what does so goes on.
    @inline(never)
    func endRest() {
        guard let rest, case .hub(let hub) = mode else { return }
        hub.fields.pointee.restEnded!(rest)
    }

    // MARK: In the loop

    @inline(__always)
    fileprivate static func readabilityCame(_ state: UnsafeMutablePointer<SocketState>, _ priority: Int32) {
        if let reader = state.pointee.reader { return reader.wakeByDescriptor(priority) }
        // No green thread wants it now: it is busy, say in a send that waits.  The kernel would report it at each pass.
        state.pointee.mayReceive = true
        // Its new green thread reads before the loop looks again.
        if state.pointee.rest != nil { return Socket(at: state).endRest() }
        let hub = Scheduler(state.pointee.readable.context!)
        withUnsafeMutablePointer(to: &state.pointee.readable) { $0.stop(on: hub.loop) }
    }
}

let becameReadable: IOWatcher.Callback = { _, watcher, events in
    let state = IOWatcher.owner(watcher, as: SocketState.self)
    if IOWatcher.isRefused(events) { state.pointee.isUnwatched = true }
    Socket.readabilityCame(state, IOWatcher.priority(watcher))
}

let becameWritable: IOWatcher.Callback = { _, watcher, events in
    let writing = IOWatcher.owner(watcher, as: WritingState.self)
    if IOWatcher.isRefused(events) { writing.pointee.isUnwatched = true }
    writing.pointee.writer?.wakeByDescriptor(IOWatcher.priority(watcher))
}
