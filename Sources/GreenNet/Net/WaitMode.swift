import Glibc

/// What waiting means.  This file is the one place that decides it; `HubWaits` and `BlockingWaits` do it.  Only `Connection.linger`, which follows the last
/// call of a handler, differs by the mode as well.
///
/// - On a hub, a socket does not block: the green thread is parked, and the hub's loop wakes it.
/// - Elsewhere, on an OS thread that has no hub or in a child process, it does: the kernel waits, inside `recv`, `send` or `ppoll`.
///
/// A socket has its mode from when it is made.  A wait that concerns no socket has that of the calling OS thread.
enum WaitMode {
    case hub(Scheduler)
    case blocking

    @inline(__always)
    fileprivate init(_ hub: Scheduler?) {
        if let hub { self = .hub(hub) } else { self = .blocking }
    }

    /// That of the calling OS thread: on a hub as soon as it has one.
    static var current: WaitMode { WaitMode(Context.running?.scheduler) }
    /// Whether green threads can be spawned here.
    static var isOnHub: Bool { Context.running != nil }
}

extension Socket {
    /// The watcher's context is the hub, and nil for a blocking socket.
    @inline(__always)
    var mode: WaitMode { WaitMode(state.pointee.readable.context.map { Scheduler($0) }) }
}

// MARK: - Waiting for a socket

extension Socket {
    /// Returns nil once a `recv` may find something.
    func waitUntilReadable(until deadline: Deadline) -> WaitError? {
        if isClosed { return .closed }
        switch mode {
        case .hub(let hub): return parkUntilReadable(on: hub, until: deadline)
        case .blocking: return limitReceiving(until: deadline)
        }
    }

    /// Returns nil once a `send` may find room.
    func waitUntilWritable(until deadline: Deadline) -> WaitError? {
        if isClosed { return .closed }
        switch mode {
        case .hub(let hub): return parkUntilWritable(on: hub, until: deadline)
        case .blocking: return limitSending(until: deadline)
        }
    }

    /// To be called before a `send` that is tried without waiting for room first: a blocking one needs its time limit.
    @inline(__always)
    func prepareToSend(until deadline: Deadline) -> WaitError? {
        switch mode {
        case .hub: nil
        case .blocking: limitSending(until: deadline)
        }
    }

    /// To be called for an operation that did not have to wait: a green thread gives way now and then all the same, and sees whether it was killed.
    @inline(__always)
    func takeTurn() throws(WaitError) {
        switch mode {
        case .hub(let hub): try takeTurn(on: hub)
        case .blocking: break
        }
    }

    /// To be called after a read of `count` bytes into a buffer with room for `room`.
    ///
    /// A short read has emptied the socket.  The end of the stream stays there to be read again.  A blocking socket waits first in any case, so that the
    /// kernel gets the next call's time limit.
    @inline(__always)
    func noteRead(_ count: Int, of room: Int) {
        switch mode {
        case .hub: mayReceive = count == room || count == 0
        case .blocking: mayReceive = false
        }
    }

    /// Whether a read that finds nothing returns EAGAIN, and does not wait.
    var mayProbe: Bool {
        switch mode {
        case .hub: true
        case .blocking: false
        }
    }

    /// The buffer that connections of this socket's hub receive into; a blocking socket has its own.
    @inline(__always)
    var receiveBuffer: UnsafeMutablePointer<SharedBuffer> {
        switch mode {
        case .hub(let hub): hub.receiveBuffer
        case .blocking: withUnsafeMutablePointer(to: &blocking.pointee.receiveBuffer) { $0 }
        }
    }
}

extension Socket {
    /// A deadline that has passed counts only where the kernel has nothing after all.
    ///
    /// A process that was stopped, or had no processor, finds all its timers due at once, while the kernel reports a number of descriptors at a time to the
    /// loop: the other connections would be taken for idle, though their clients had sent something.
    @inline(never)  // Rare: the frames of waiting green threads stay small.
    func unlessReady(_ direction: Direction, _ error: WaitError?) -> WaitError? {
        // Nothing would wake it once it rests.
        if error == .resting, mayReceive || endsWhenEmpty || state.pointee.isUnwatched { return nil }
        guard error == .deadlinePassed, !isClosed else { return error }
        return SystemCalls.poll(descriptor, for: direction) > 0 ? nil : error
    }
}

extension Listener {
    /// Returns nil once a connection may be there.  A blocking listener is not given `deadline`; it returns `closed` where it was asked to stop.
    func waitForConnection(until deadline: Deadline) -> WaitError? {
        switch socket.mode {
        case .hub: socket.waitUntilReadable(until: deadline)
        case .blocking: Listener.blockUntilAcceptable([self]) ? nil : .closed
        }
    }
}

// MARK: - Waiting for no socket

/// Waits that are the same on a hub and off it.
package enum Pause {
    /// Throws when killed or when an enclosing time limit is over, on a hub.
    package static func wait(for length: Duration) throws(WaitError) {
        switch WaitMode.current {
        case .hub: try Greenlet.sleep(for: length)
        case .blocking: SystemCalls.sleep(length)
        }
    }

    /// How often to look again for what nothing wakes a blocking OS thread for.
    static let lookInterval = Duration.milliseconds(10)

    /// Waits until the green threads of `queue` are woken, or for `length`, where it is given.  A blocking OS thread is not woken, but by a signal: it waits
    /// for `length`, or else for `lookInterval`.
    static func untilWoken(in queue: WaitQueue, orFor length: Duration?) throws(WaitError) {
        switch WaitMode.current {
        case .hub:
            let thread = Context.running!
            let end = length.map { Deadline.after($0) } ?? .never
            let error = thread.error(after: thread.wait(for: .event, until: end, in: queue))
            if let error, error != .deadlinePassed { throw error }
        case .blocking: SystemCalls.sleepUnlessSignalled(length ?? lookInterval)
        }
    }

    /// Lets the other green threads run first, where there are any.
    static func giveWay(after operations: Int = 1) throws(WaitError) {
        guard let thread = Context.running else { return }
        thread.giveWay(after: operations)
        try thread.throwIfInterrupted()
    }
}
