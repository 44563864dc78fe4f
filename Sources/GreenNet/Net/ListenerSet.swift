/// Listeners at which several OS threads wait together.  For each connection the kernel wakes one of them: the one that has waited for the shortest time, whose
/// stack is still in the caches, so that surplus OS threads find that they were idle for long.
///
/// A listener that was reported is not reported again before it is watched again: the OS thread that was woken accepts alone, and then passes the listener on.
/// Callable from any OS thread.
package final class ListenerSet: Sendable {
    private let set: Int32
    /// Counts the calls of `wakeOne`.
    private let bell: Int32
    /// Rings for `remindSoon`.
    private let timer: Int32

    /// What a wait has found.
    package enum Event: Equatable, Sendable {
        /// The listener that is watched by this number may have a connection.
        case listener(UInt64)
        case woken
        /// What `remindSoon` has asked for.
        case reminder
        case timedOut
    }

    private static let (bellNumber, timerNumber) = (UInt64.max, UInt64.max - 1)

    /// How many it has.
    package static let descriptors = 3

    /// Throws where the process or the system has no descriptor left.
    package init() throws(SystemError) {
        set = try ListenerSet.descriptor(SystemCalls.newEventSet(), closing: [])
        bell = try ListenerSet.descriptor(SystemCalls.newBell(), closing: [set])
        timer = try ListenerSet.descriptor(SystemCalls.newTimer(), closing: [set, bell])
        for (descriptor, number, mode) in [
            (bell, ListenerSet.bellNumber, SystemCalls.EventMode.always), (timer, ListenerSet.timerNumber, .each),
        ] {
            let result = SystemCalls.add(descriptor, to: set, as: number, mode)
            // `deinit` closes them: all properties are set.
            if result < 0 { throw SystemError(Int32(-result)) }
        }
    }

    private static func descriptor(_ result: Int, closing others: [Int32]) throws(SystemError) -> Int32 {
        if result >= 0 { return Int32(result) }
        for other in others { SystemCalls.close(other) }
        throw SystemError(Int32(-result))
    }

    deinit { for descriptor in [timer, bell, set] { SystemCalls.close(descriptor) } }

    /// Watches `listener`, reported as `number`.  Throws where the kernel has no memory for it.
    package func watch(_ listener: ListeningSocket, as number: UInt64) throws(SystemError) {
        let result = SystemCalls.add(listener.descriptor, to: set, as: number, .once)
        if result < 0 { throw SystemError(Int32(-result)) }
    }

    /// Watches again after a report: at once, another OS thread is woken where further connections are there.  Returns false where the kernel refuses it.
    package func watchAgain(_ listener: ListeningSocket, as number: UInt64) -> Bool {
        SystemCalls.watchAgain(listener.descriptor, in: set, as: number) >= 0
    }

    /// To be called before the listener is closed.  An OS thread that was woken before may look at `listener` after that.
    package func remove(_ listener: ListeningSocket) { _ = SystemCalls.remove(listener.descriptor, from: set) }

    /// Ends one wait with a reminder after `delay`, or after that of a later call.
    package func remindSoon(after delay: Duration) { SystemCalls.setTimer(timer, nanoseconds: delay.nanoseconds) }

    /// Ends one wait, now or later.
    package func wakeOne() { SystemCalls.ring(bell, 1) }

    /// Ends all waits, now and later.  To be called once.
    package func wakeAllForEver() { SystemCalls.ring(bell, 1 << 32) }

    /// Blocks the calling OS thread, at most until `deadline`.
    package func wait(until deadline: Deadline) -> Event {
        switch SystemCalls.nextEvent(in: set, until: deadline) {
        case nil: return .timedOut
        case ListenerSet.bellNumber: return SystemCalls.takeRing(bell) ? .woken : .timedOut
        case ListenerSet.timerNumber: return SystemCalls.takeRing(timer) ? .reminder : .timedOut
        case let number?: return .listener(number)
        }
    }
}
