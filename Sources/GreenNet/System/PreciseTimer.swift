/// Waits for moments to a few microseconds, where the loop's own timers keep to milliseconds.  It costs a descriptor, and a system call for
/// each wait.
///
/// Belongs to the OS thread that made it.
package final class PreciseTimer {
    private let socket: Socket

    /// Throws where the system has no descriptor left.
    package init() throws(SystemError) {
        let result = SystemCalls.timer()
        if result < 0 { throw SystemError(Int32(-result)) }
        socket = .make(Int32(result))
    }

    deinit { socket.free() }

    /// Parks the green thread until `moment` has come.  Throws when it is killed.
    package func wait(until moment: Deadline) throws(WaitError) {
        // One that is set anew is not readable any more: nothing needs to be read from it.
        SystemCalls.setTimer(socket.descriptor, to: max(1, moment.nanoseconds))
        while !moment.hasPassed {
            if let error = socket.waitUntilReadable(until: .never) { throw error }
        }
    }
}

@available(*, unavailable)
extension PreciseTimer: Sendable {}
