/// A handle by which other OS threads reach a hub.  Callable from any OS thread at any time, also after the hub has closed.
public struct RemoteHub: Sendable {
    private let jobs: JobQueue

    fileprivate init(_ jobs: JobQueue) { self.jobs = jobs }

    /// Runs `body` on a new green thread of the hub, soon.  Callable from any OS thread; never waits.
    ///
    /// Returns false where the hub has closed or is closing; `body` is dropped then.  True means that the hub has accepted `body`.  If it then has no
    /// stack for the green thread, that failure, a `SpawnError`, goes to `Hub.onUnobservedFailure`, as an error of `body` does; `result(of:)` gives it to
    /// the caller instead.
    @discardableResult
    public func spawn(name: String? = nil, _ body: @escaping @Sendable () throws -> Void) -> Bool {
        spawn(name: name, body) { _ in }
    }

    /// As the other `spawn`; `onSpawn` is called with the green thread, in the loop, before it begins.
    func spawn(
        name: String?, _ body: @escaping @Sendable () throws -> Void,
        onSpawn: @escaping @Sendable (Greenlet<Void>) -> Void
    ) -> Bool {
        jobs.send(isSpawn: true) { onSpawn(GreenNet.spawn(name: name, body)) }
    }

    /// Runs `job` as a callback of the hub's loop, as `callInHub`, or `refuse` where the hub closes first.  Returns false, and calls neither, where the hub has
    /// closed or is closing.
    func begin(_ job: @escaping @Sendable () -> Void, orIfClosed refuse: @escaping @Sendable () -> Void) -> Bool {
        jobs.send(isSpawn: true, job, orIfClosed: refuse)
    }

    /// As `begin`, also while the hub is closing: for its green threads that clean up.
    func call(_ job: @escaping @Sendable () -> Void, orIfClosed refuse: @escaping @Sendable () -> Void) -> Bool {
        jobs.send(job, orIfClosed: refuse)
    }

    /// Wakes the hub from its wait for events.  Returns false where the hub has closed.  Callable from any OS thread; never waits.
    @discardableResult
    public func wake() -> Bool { callInHub {} }

    /// Ends the hub's `serve()`; where there is none, the next.  Returns false where the hub has closed.  Callable from any OS thread; never waits.
    @discardableResult
    public func stopServing() -> Bool { callInHub { Hub.current.stopServing() } }

    /// Runs `job` as a callback of the hub's loop: it must not wait.  Returns false where the hub has closed.
    package func callInHub(_ job: @escaping @Sendable () -> Void) -> Bool { jobs.send(job) }

    /// Gives the handle while the program holds another one, or the hub lives.  For code that only watches the hub: it must not keep
    /// `WaitError.blockedForever` from being thrown.
    package func weakly() -> @Sendable () -> RemoteHub? {
        { [weak jobs] in jobs.map(RemoteHub.init) }
    }
}

extension Hub {
    /// The handle by which other OS threads reach this hub.  While the program holds one, `WaitError.blockedForever` is not thrown.  To be read on the
    /// hub's OS thread.
    public var remote: RemoteHub {
        checkOwner()
        return RemoteHub(scheduler.fields.pointee.jobs)
    }
}
