import Glibc

/// Parks the green thread until a `read` of `descriptor` would return at once: with data, at the end, or with an error.  For descriptors that are not this
/// library's: pipes, terminals, eventfd, timerfd, inotify, pidfd, a C library's socket.  A regular file is ready at once.
///
/// The descriptor stays as it is, blocking or not, and the caller's to close.  Several green threads may wait for one descriptor: each of them is woken, and the
/// first one to read may leave nothing for the others.  Where it waits, it does so by a copy of the descriptor, of which the process must have one left.
///
/// **Closed meanwhile**, the descriptor is a mistake that the wait reports within a second: it throws EBADF, also where another file has the number by then.
/// Until then the copy keeps the file open, so the other side of a pipe sees no end.  A hub with a virtual clock does not look.
///
/// Throws when `deadline` has passed, when the green thread was killed or its time limit is over, and EBADF where the number is that of no open file.
/// Callable from any green thread.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
public func waitUntilReadable(_ descriptor: Int32, until deadline: Deadline = .never) throws(NetError) {
    try ForeignDescriptor(descriptor).wait(for: .readable, until: deadline)
}

/// Parks the green thread until a `write` of a few bytes to `descriptor` would return at once.  Else as `waitUntilReadable`.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
public func waitUntilWritable(_ descriptor: Int32, until deadline: Deadline = .never) throws(NetError) {
    try ForeignDescriptor(descriptor).wait(for: .writable, until: deadline)
}

/// A descriptor that others use and close.
struct ForeignDescriptor {
    let number: Int32

    init(_ number: Int32) { self.number = number }

    /// How long a close can stay unnoticed.
    private static let lookInterval = Duration.seconds(1)

    func wait(for direction: Direction, until deadline: Deadline) throws(NetError) {
        // To poll, a negative number is one that it is not to look at.
        let readiness = number < 0 ? -Int(EBADF) : SystemCalls.poll(number, for: direction)
        if readiness < 0 { throw failure(readiness) }
        do throws(WaitError) {
            // Only what makes one wait is watched: epoll refuses files.
            if readiness > 0 { return try Greenlet.yield() }
        } catch {
            throw NetError(.poll, .wait(error), subject: subject)
        }
        try park(for: direction, until: deadline)
    }

    /// By a copy: libev aborts over a number that is closed while it is watched, and the kernel forgets it without a word.
    private func park(for direction: Direction, until deadline: Deadline) throws(NetError) {
        let result = SystemCalls.duplicate(number)
        if result < 0 { throw NetError(.dup, result: result, subject: subject) }
        let copy = Socket.make(Int32(result))
        defer { copy.free() }
        while true {
            let isVirtual = Context.running!.scheduler.fields.pointee.virtualTime != nil
            let look = isVirtual ? deadline : min(deadline, .after(ForeignDescriptor.lookInterval))
            let error =
                direction == .readable ? copy.waitUntilReadable(until: look) : copy.waitUntilWritable(until: look)
            let isSame = SystemCalls.isSameFile(number, copy.descriptor)
            if isSame <= 0 { throw failure(-Int(EBADF)) }
            guard let error else { return }
            if error != .deadlinePassed || deadline.hasPassed { throw NetError(.poll, .wait(error), subject: subject) }
        }
    }

    private var subject: String { "descriptor \(number)" }

    private func failure(_ result: Int) -> NetError { NetError(.poll, result: result, subject: subject) }
}
