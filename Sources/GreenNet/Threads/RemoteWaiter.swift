/// A green thread that waits for other OS threads.  Each wait has a `RemoteWaiter` of its own, so that a late wake-up has no effect.
// `thread` is touched on the OS thread of its hub only; other OS threads hold the reference, and pass it back.
class RemoteWaiter: @unchecked Sendable {
    private var thread: GreenThread?
    private let hub = Hub.current.remote

    init() { thread = Hub.currentThread }

    /// Ends the wait.  Callable from any OS thread.
    final func wake() {
        // False where the hub has closed: its green threads wait no more.
        _ = hub.callInHub { self.thread?.wake(.event) }
    }

    /// Parks the running green thread, whose waiter this is, until `wake()`; it may be woken for nothing.
    final func park(for kind: WaitKind = .remote, until deadline: Deadline) -> WaitError? {
        let thread = thread!
        return thread.error(after: thread.wait(for: kind, until: deadline))
    }

    /// To be called when the wait is over.
    final func end() { thread = nil }
}
