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
