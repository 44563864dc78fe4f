import Glibc

/// Waiting as a C library's blocking calls need it: for descriptors that are not this module's, and with an errno for an answer.  `GreenPatch` uses it.
///
/// The calls that wait are for the green thread that runs.
package enum PatchedWait {
    /// Parks until one of the `count` `pollfd`s at `wanted` may be ready.  With `mayStay`, `forget` is called before one of them is closed.
    ///
    /// 0, also where none is ready, or an errno: ETIMEDOUT where `deadline` has passed, ECANCELED after a kill or at the end of a time limit, EBADF after
    /// `end(of:)` or `forget`.
    // Not a pointer to `pollfd`, which Swift finds in an internal import too: a package declaration must not have such a type.
    package static func wait(
        _ wanted: UnsafeMutableRawPointer, _ count: Int, until deadline: Deadline, mayStay: Bool
    ) -> Int32 {
        let wanted = UnsafeBufferPointer(start: wanted.assumingMemoryBound(to: pollfd.self), count: count)
        return withUnsafeTemporaryAllocation(of: Socket.self, capacity: count) { sockets in
            withUnsafeTemporaryAllocation(of: IOWatcher.self, capacity: 2 * count) { watchers in
                var watches = PatchedWatches(sockets.baseAddress!, watchers.baseAddress!, mayStay: mayStay)
                for one in wanted where one.fd >= 0 { watches.start(one) }
                return wait(for: watches, wanted, until: deadline)
            }
        }
    }

    private static func wait(
        for watches: PatchedWatches, _ wanted: UnsafeBufferPointer<pollfd>, until deadline: Deadline
    ) -> Int32 {
        let thread = Context.running!
        let look = watches.mayBeStale ? nextLook(thread.scheduler, until: deadline) : deadline
        // A `pollfd` begins with its descriptor: that is what the wait's detail has to point to.
        let wake = thread.wait(for: .readable, UInt64(UInt(bitPattern: wanted.baseAddress)), until: look)
        let isRefused = watches.end()
        if isRefused, wake == .event { return waitUnwatched(thread, until: deadline) }
        let error = thread.error(after: wake)
        guard error == .deadlinePassed, !deadline.hasPassed else { return errno(of: error) }
        for one in wanted { forgetUnlessRead(one.fd, thread.scheduler) }
        return 0
    }

    // MARK: Waiting to read, again and again

    /// As `wait`, for reading one descriptor, which stays watched when the wait is over: the next one costs no system call.  EBUSY where another green thread
    /// waits for it already.
    ///
    /// `forget` must be called before the descriptor is closed.  Where it was not, the number may be another file's, of which the kernel reports nothing:
    /// so the descriptor is watched anew after a second without an event.
    package static func waitUntilReadable(_ descriptor: Int32, until deadline: Deadline) -> Int32 {
        let thread = Context.running!
        let socket = socket(descriptor, thread.scheduler)
        if socket.state.pointee.reader != nil { return EBUSY }
        if socket.reading.isActive {
            let check = nextLook(thread.scheduler, until: deadline)
            let error = socket.parkUntilReadable(on: thread.scheduler, until: check)
            if thread.wakeReason != .deadline || socket.isClosed { return finish(socket, error) }
            // Allocated anew, for `set` is for once.
            forget(descriptor)
            if error != .deadlinePassed || deadline.hasPassed { return errno(of: error) }
            return waitUntilReadable(descriptor, until: deadline)
        }
        return finish(socket, socket.parkUntilReadable(on: thread.scheduler, until: deadline))
    }

    /// How long it may be unseen that a descriptor was closed.  A hub with a virtual clock does not look.
    private static func nextLook(_ scheduler: Scheduler, until deadline: Deadline) -> Deadline {
        scheduler.fields.pointee.virtualTime == nil ? min(deadline, .after(.seconds(1))) : deadline
    }

    private static func finish(_ socket: Socket, _ error: WaitError?) -> Int32 {
        guard socket.isClosed else { return errno(of: error) }
        socket.letGo()
        return error == .cancelled ? ECANCELED : EBADF
    }

    /// Whether it was waited for before, and not closed since.
    static func knows(_ descriptor: Int32, _ scheduler: Scheduler) -> Bool {
        scheduler.fields.pointee.foreignDescriptors[descriptor] != nil
    }

    static func socket(_ descriptor: Int32, _ scheduler: Scheduler) -> Socket {
        if let known = scheduler.fields.pointee.foreignDescriptors[descriptor] { return Socket(at: known) }
        let socket = Socket.make(descriptor)
        scheduler.fields.pointee.foreignDescriptors[descriptor] = UnsafeMutableRawPointer(socket.state)
        return socket
    }

    /// Ends the `waitUntilReadable` under way for `descriptor` on this hub, and lets the loop forget it.
    package static func forget(_ descriptor: Int32) {
        guard let scheduler = Context.running?.scheduler,
            let known = scheduler.fields.pointee.foreignDescriptors[descriptor]
        else { return }
        scheduler.fields.pointee.foreignDescriptors[descriptor] = nil
        let socket = Socket(at: known)
        guard let reader = socket.state.pointee.reader else { return socket.letGo() }
        // It looks at the socket when it runs, and frees it.
        socket.state.pointee.isClosed = true
        if socket.reading.isKnownToLoop { socket.reading.stop(on: scheduler.loop) }
        reader.wake(.closed)
    }

    private static func forgetUnlessRead(_ descriptor: Int32, _ scheduler: Scheduler) {
        guard descriptor >= 0, let known = scheduler.fields.pointee.foreignDescriptors[descriptor] else { return }
        if Socket(at: known).state.pointee.reader == nil { forget(descriptor) }
    }

    // MARK: -

    /// The caller looks again: at once where the descriptor was closed, every now and then where the kernel has no memory to watch it.
    private static func waitUnwatched(_ thread: GreenThread, until deadline: Deadline) -> Int32 {
        let wake = thread.wait(for: .sleep, until: min(.after(BackOff.shortest), deadline))
        return wake == .deadline && !deadline.hasPassed && !thread.scopeDeadline.hasPassed
            ? 0 : errno(of: thread.error(after: wake))
    }

    /// ETIMEDOUT at `deadline`, or ECANCELED.
    package static func sleep(until deadline: Deadline) -> Int32 {
        let thread = Context.running!
        return errno(of: thread.error(after: thread.wait(for: .sleep, until: deadline)))
    }

    /// Lets all that are ready run first.  0 or ECANCELED.
    package static func endTurn() -> Int32 {
        let thread = Context.running!
        thread.giveWay(after: Int(Scheduler.opsPerTurn))
        do throws(WaitError) { try thread.throwIfInterrupted() } catch { return ECANCELED }
        return 0
    }

    private static func errno(of error: WaitError?) -> Int32 {
        switch error {
        case nil: 0
        case .deadlinePassed: ETIMEDOUT
        case .closed: EBADF
        case .timedOut, .cancelled, .blockedForever, .resting, .deadlock: ECANCELED
        }
    }

    /// Ends the `wait` of the green thread with this record, of the same hub.
    package static func end(of record: UnsafeMutableRawPointer) { GreenThread(record).wake(.closed) }

    /// Whether the calling OS thread has a hub.
    package static var isOnHub: Bool { Context.running != nil }

    /// Whether the calling green thread is the OS thread's main one.
    package static var isMain: Bool { Context.running.map { $0 == $0.scheduler.main } ?? false }

    /// Whether a time limit encloses the call.
    package static var hasTimeLimit: Bool { Context.running.map { $0.scopeDeadline != .never } ?? false }

    /// Throws where the running green thread was killed, or its time is over.
    package static func throwIfInterrupted() throws(WaitError) { try Context.running?.throwIfInterrupted() }
}
