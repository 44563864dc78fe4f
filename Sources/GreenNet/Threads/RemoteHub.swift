/// Reaches a hub from other OS threads; safe at any time, also after the hub has closed.
public struct RemoteHub: Sendable {
    private let jobs: JobQueue

    fileprivate init(_ jobs: JobQueue) { self.jobs = jobs }

    /// Runs `body` on a green thread of the hub, soon.  Returns false where the hub has closed or is closing; `body` is dropped then.
    @discardableResult
    public func spawn(name: String? = nil, _ body: @escaping @Sendable () throws -> Void) -> Bool {
        jobs.send(isSpawn: true) { GreenNet.spawn(name: name, body) }
    }

    /// Makes the hub look around, which it does by itself whenever anything happens.  Returns false where the hub has closed.
    @discardableResult
    public func wake() -> Bool { callInHub {} }

    /// Runs `job` in the loop, where it must not wait.  Returns false where the hub has closed.
    package func callInHub(_ job: @escaping @Sendable () -> Void) -> Bool { jobs.send(job) }

    /// Gives the handle while another one is held, or the hub lives: what only watches a hub must not keep it from seeing that it is stuck.
    package func weakly() -> @Sendable () -> RemoteHub? {
        { [weak jobs] in jobs.map(RemoteHub.init) }
    }
}

extension Hub {
    /// The handle by which other OS threads reach this hub.  While one is held, the hub doesn't take itself for stuck.
    public var remote: RemoteHub { RemoteHub(scheduler.fields.pointee.jobs) }
}
