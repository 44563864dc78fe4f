import Glibc

/// Turns signals of the process into something a green thread waits for, instead of a handler that may do almost nothing.
///
/// A signal belongs to one watcher of the process at a time; while it does, its default action is off.
/// Belongs to the OS thread that made it.
public final class SignalWatcher {
    /// Raw memory: the loop refers to it, and a green thread parks in it.
    private struct State {
        var waiting = WaitQueue()
        var pending: UInt64 = 0  // a bit for each signal, from 1 to 64
    }

    private let state = UnsafeMutablePointer<State>.allocate(capacity: 1)
    private let events: [UnsafeMutablePointer<SignalEvent>]
    private let hub: HubPointer

    /// Catches `signals` from now on, also where this OS thread was started with them blocked.
    public init(_ signals: Int32...) {
        for number in signals where !(1...64).contains(number) {
            programmingError("\(number) is no signal: they have the numbers 1 to 64")
        }
        require(!signals.contains(SIGKILL) && !signals.contains(SIGSTOP), "SIGKILL and SIGSTOP can't be caught")
        hub = Hub.currentThread.hub
        state.initialize(to: State())
        events = signals.map { [hub, state] number in
            .make(on: hub.pointee.loop, number: number, context: state) { _, watcher, _ in
                let state = SignalEvent.context(watcher).assumingMemoryBound(to: State.self)
                state.pointee.pending |= 1 << UInt64(SignalEvent.number(watcher) - 1)
                withUnsafeMutablePointer(to: &state.pointee.waiting) { $0 }.wakeAll()
            }
        }
        hub.pointee.signals += events
        SystemCalls.unblock(signals)
    }

    deinit {
        for event in events { free(event) }
        state.deallocate()
    }

    /// One that is not active any more has been stopped by the end of its hub.
    private func free(_ event: UnsafeMutablePointer<SignalEvent>) {
        if event.isActive {
            hub.pointee.signals.removeAll { $0 == event }
            event.stop(on: hub.pointee.loop)
        }
        event.deallocate()
    }

    /// Waits for the next of the signals and returns its number.  Several of one kind before it is looked at count once.
    public func wait(until deadline: Deadline = .never) throws(WaitError) -> Int32 {
        let thread = Hub.currentThread
        while state.pointee.pending == 0 {
            let queue = withUnsafeMutablePointer(to: &state.pointee.waiting) { $0 }
            if let error = thread.error(after: thread.wait(for: .signal, until: deadline, in: queue)) { throw error }
        }
        let lowest = state.pointee.pending.trailingZeroBitCount
        state.pointee.pending &= ~(1 << UInt64(lowest))
        return Int32(lowest) + 1
    }
}

@available(*, unavailable)
extension SignalWatcher: Sendable {}
