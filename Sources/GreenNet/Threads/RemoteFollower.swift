/// Runs code on its hub, once, when other OS threads wake it: a `RemoteWaiter` for which no green thread waits.
// `body` may hold objects of the hub: it is touched on the hub's OS thread only, which drops it when the hub closes.
final class RemoteFollower: RemoteWaiter, @unchecked Sendable {
    private var body: (() -> Void)?

    /// `body` runs in the loop of the caller's hub, where it must not wait; or never, if the hub closes first.
    init(_ body: @escaping () -> Void) {
        self.body = body
        super.init(.hub)
        Hub.current.closers[ObjectIdentifier(self)] = { [unowned self] in self.body = nil }
    }

    override func wake() {
        // False where the hub has closed, and has dropped the body.
        _ = hub!.call({ self.take()?() }, orIfClosed: {})
    }

    // MARK: On the hub's OS thread

    private func take() -> (() -> Void)? {
        defer { cancel() }
        return body
    }

    /// `body` does not run any more.
    func cancel() {
        if body == nil { return }
        body = nil
        Hub.current.closers[ObjectIdentifier(self)] = nil
    }
}

/// A `RemoteResult` as one hub sees it, for `waitAny` and the like.
final class RemoteResultSource<Value: Sendable>: ReadinessSource {
    private let result: RemoteResult<Value>
    /// Where the result is that of a call of this pool.
    private let pool: OffloadPool?
    /// Called where the error of the result is asked for.
    private let whenAsked: () -> Void
    var owner = Owner.here
    private var follower: RemoteFollower?
    private var isWaitingInside = false

    var observers: [Observer] = [] {
        didSet { if observers.isEmpty { unfollow() } else if follower == nil { follow() } }
    }

    init(_ result: RemoteResult<Value>, of pool: OffloadPool? = nil, whenAsked: @escaping () -> Void = {}) {
        (self.result, self.pool, self.whenAsked) = (result, pool, whenAsked)
    }

    var isReady: Bool { result.isSet }

    var failure: (any Error)? {
        guard case .failure(let error) = result.result else { return nil }
        whenAsked()
        return error
    }

    private func follow() {
        let follower = RemoteFollower { self.announce() }
        self.follower = follower
        isWaitingInside = pool?.beginWaitInside() ?? false
        if !result.add(follower) { follower.wake() }
    }

    private func unfollow() {
        guard let follower else { return }
        self.follower = nil
        result.remove(follower)
        follower.cancel()
        if isWaitingInside { pool!.endWaitInside() }
        isWaitingInside = false
    }
}
