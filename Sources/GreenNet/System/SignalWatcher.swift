import Glibc

/// Turns signals of the process into something a green thread waits for, instead of a handler that may do almost nothing.
///
/// A signal belongs to one watcher of the process at a time; while it does, its default action is off.
/// Belongs to the OS thread that made it.
public final class SignalWatcher: HubObject {
    /// Raw memory: the loop refers to it, and a green thread parks in it.
    private struct State {
        var waiting = WaitQueue.Ends()
        /// Signals that came while no green thread waited: a bit for each, from 1 to 64.
        var pending: UInt64 = 0
    }

    private let state = UnsafeMutablePointer<State>.allocate(capacity: 1)
    private let events: [UnsafeMutablePointer<SignalEvent>]
    private let scheduler: Scheduler
    var owner: Owner

    /// Catches `signals` from now on, also where this OS thread was started with them blocked.
    public init(_ signals: Int32...) {
        for number in signals where !(1...64).contains(number) {
            programmingError("\(number) is no signal: they have the numbers 1 to 64")
        }
        require(!signals.contains(SIGKILL) && !signals.contains(SIGSTOP), "SIGKILL and SIGSTOP can't be caught")
        scheduler = Hub.currentThread.scheduler
        owner = .here
        state.initialize(to: State())
        events = signals.map { [scheduler, state] number in
            .make(on: scheduler.loop, number: number, context: state) { _, watcher, _ in
                SignalWatcher.give(
                    SignalEvent.number(watcher), to: SignalEvent.context(watcher).assumingMemoryBound(to: State.self))
            }
        }
        scheduler.signals += events
        SystemCalls.unblock(signals)
    }

    /// In the loop.  It belongs to the one that has waited longest from now on.
    private static func give(_ signal: Int32, to state: UnsafeMutablePointer<State>) {
        if let first = queue(of: state).first {
            first.waitDetail = UInt64(signal)
            first.wake(.event)
        } else {
            state.pointee.pending |= 1 << UInt64(signal - 1)
        }
    }

    private static func queue(of state: UnsafeMutablePointer<State>) -> WaitQueue {
        withUnsafeMutablePointer(to: &state.pointee.waiting) { WaitQueue($0) }
    }

    deinit {
        for event in events { free(event) }
        state.deallocate()
    }

    /// One that is not active any more has been stopped by the end of its hub.
    private func free(_ event: UnsafeMutablePointer<SignalEvent>) {
        if event.isActive {
            checkOwner()
            scheduler.signals.removeAll { $0 == event }
            if Hub.isAbandoned(scheduler) { event.leave(scheduler.loop) } else { event.stop(on: scheduler.loop) }
        }
        event.deallocate()
    }

    /// Waits for the next of the signals and returns its number.  First come, first served: a signal goes to the green thread that has waited
    /// longest.  Of signals that came while none waited, several of one kind count once, and the lowest number is returned first.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func wait(until deadline: Deadline = .never) throws(WaitError) -> Int32 {
        let thread = ownThread()
        if state.pointee.pending == 0 {
            let wake = thread.wait(for: .signal, until: deadline, in: SignalWatcher.queue(of: state))
            if let error = thread.error(after: wake) { throw error }
            return Int32(thread.waitDetail)
        }
        let lowest = state.pointee.pending.trailingZeroBitCount
        state.pointee.pending &= ~(1 << UInt64(lowest))
        return Int32(lowest) + 1
    }
}

@available(*, unavailable)
extension SignalWatcher: Sendable {}
