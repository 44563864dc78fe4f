import Glibc

/// How a blocking socket waits: the kernel does, inside `recv` and `send`, up to a time limit that it is given before.
extension Socket {
    /// Nanoseconds for a call that is made though its deadline has passed: 0 would be no limit.
    private static var shortestLimit: Int64 { 1_000_000 }

    @inline(__always)
    func limitReceiving(until deadline: Deadline) -> WaitError? {
        let error = limitCall(.readable, &blocking.pointee.receiveLimit, until: deadline)
        mayReceive = error == nil
        return error
    }

    @inline(__always)
    func limitSending(until deadline: Deadline) -> WaitError? {
        limitCall(.writable, &blocking.pointee.sendLimit, until: deadline)
    }

    /// Gives the kernel the time limit of a blocking call.  A limit that hardly differs from the last one stays: with a deadline that moves on with each
    /// message, that saves a system call for each.
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
        _ = SystemCalls.setTimeLimit(descriptor, option, nanoseconds: left == Int64.max ? 0 : left)
        return nil
    }
}

extension Listener {
    /// Waits until a connection may be there on some of `listeners`, and marks these listeners.  Returns false where a signal has asked them to stop.
    static func blockUntilAcceptable(_ listeners: [Listener]) -> Bool {
        while !listeners[0].isAskedToStop {
            let descriptors = listeners.map(\.socket.descriptor)
            guard let readable = SystemCalls.waitReadableUnlessSignalled(descriptors) else { continue }
            for (listener, isReadable) in zip(listeners, readable) { listener.socket.mayReceive = isReadable }
            return true
        }
        return false
    }
}
