internal import CLibev
import Glibc

/// libev's watcher of one signal.  A signal belongs to one loop of the process at a time; libev stops the program where a
/// second one wants it.  Stopped, it leaves the signal at its default action.
struct SignalEvent {
    fileprivate var raw = ev_signal()

    typealias Callback = @convention(c) (OpaquePointer?, UnsafeMutablePointer<ev_signal>?, Int32) -> Void

    static func context(_ watcher: UnsafeMutablePointer<ev_signal>?) -> UnsafeMutableRawPointer {
        watcher!.pointee.data
    }

    static func number(_ watcher: UnsafeMutablePointer<ev_signal>?) -> Int32 { watcher!.pointee.signum }
}

extension UnsafeMutablePointer<SignalEvent> {
    private var signal: UnsafeMutablePointer<ev_signal> {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: ev_signal.self)
    }

    static func make(
        on loop: EventLoop, number: Int32, context: UnsafeMutableRawPointer, callback: SignalEvent.Callback
    ) -> Self {
        let watcher = allocate(capacity: 1)
        watcher.initialize(to: SignalEvent())
        green_signal_init(watcher.signal, callback, number)
        watcher.signal.pointee.data = context
        ev_signal_start(loop.raw, watcher.signal)
        return watcher
    }

    /// False once it was stopped.
    var isActive: Bool { green_signal_is_active(signal) != 0 }

    /// As `stop`, in a forked child that may handle the signal in its own way by now: the action stays.
    func leave(_ loop: EventLoop) {
        var (all, before, action) = (sigset_t(), sigset_t(), sigaction())
        sigfillset(&all)
        // In between, the signal would have its default action.
        pthread_sigmask(SIG_BLOCK, &all, &before)
        sigaction(signal.pointee.signum, nil, &action)
        stop(on: loop)
        sigaction(signal.pointee.signum, &action, nil)
        pthread_sigmask(SIG_SETMASK, &before, nil)
    }

    /// Lets go of the signal.  Asks nothing of the kernel's epoll set, which a forked child shares with its parent.
    func stop(on loop: EventLoop) { ev_signal_stop(loop.raw, signal) }
}
