/// A green thread that waits for other OS threads.  Each wait has one of its own, so that a late wake-up finds no green thread.
// `thread` is touched on the OS thread of its hub only; others merely hold the reference, to hand it back.
class RemoteWaiter: @unchecked Sendable {
    private var thread: GreenThread?
    private let hub = Hub.current.remote

    init() { thread = Hub.currentThread }

    /// From any OS thread, once what is waited for has come.
    final func wake() {
        // False where the hub has closed: its green threads wait no more.
        _ = hub.callInHub { self.thread?.wake(.event) }
    }

    /// Parks the running green thread, whose waiter this is, until `wake()`; it may be woken for nothing.
    final func park(for kind: WaitKind = .remote, until deadline: Deadline) -> WaitError? {
        let thread = thread!
        return thread.error(after: thread.wait(for: kind, until: deadline))
    }

    /// Once nothing is waited for any more.
    final func end() { thread = nil }
}
