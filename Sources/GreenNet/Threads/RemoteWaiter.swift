/// A green thread or a task that waits for other OS threads.  Each wait has a `RemoteWaiter` of its own, so that a late wake-up has no effect.
// `thread` is touched on the OS thread of its hub only; other OS threads hold the reference, and pass it back.  `continuation` is guarded by the mutex of
// the object that is waited for.
class RemoteWaiter: @unchecked Sendable {
    private var thread: GreenThread?
    /// Nil for a task.
    final let hub: RemoteHub?
    private var continuation: UnsafeContinuation<Void, Never>?

    init(_ kind: Kind) {
        switch kind {
        case .greenThread: (thread, hub) = (Hub.currentThread, Hub.current.remote)
        case .hub: hub = Hub.current.remote
        case .task: hub = nil
        }
    }

    /// What waits.
    enum Kind {
        /// The one that runs now.
        case greenThread
        /// The hub of the caller, for a `RemoteFollower`.
        case hub
        case task
    }

    /// Ends the wait.  Callable from any OS thread; for a task once only, by the call that took the waiter off its list.
    func wake() {
        guard let hub else { return continuation!.resume() }
        // False where the hub has closed: its green threads wait no more.
        _ = hub.callInHub { self.thread?.wake(.event) }
    }

    // MARK: A green thread

    /// Parks the running green thread, whose waiter this is, until `wake()`; it may be woken for nothing.
    final func park(for kind: WaitKind = .remote, until deadline: Deadline) -> WaitError? {
        let thread = thread!
        thread.scheduler.fields.pointee.spin.waiters += 1
        defer { thread.scheduler.fields.pointee.spin.waiters -= 1 }
        return thread.error(after: thread.wait(for: kind, until: deadline))
    }

    /// To be called when the wait is over.
    final func end() { thread = nil }

    // MARK: A task

    /// To be called under the mutex, before others find the waiter: `wake()` resumes `continuation`.  False where the task was cancelled before, so that the
    /// handler of its cancellation has not found the waiter.  Always true for a green thread, which has no continuation.
    final func suspend(_ continuation: UnsafeContinuation<Void, Never>?) -> Bool {
        guard let continuation else { return true }
        self.continuation = continuation
        return !Task.isCancelled
    }
}
