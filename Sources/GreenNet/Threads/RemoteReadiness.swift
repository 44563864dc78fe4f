/// An object of no hub that becomes ready, and that green threads of any hub can wait for together with others.
protocol RemoteSource: AnyObject, Sendable {
    /// Whether a wait for it would return at once.
    var isReady: Bool { get }
    /// The error with which it has ended; nil for an object that does not end.
    var failure: (any Error)? { get }
    /// Has `watcher` rung once: the next time that the object becomes ready, or now where it is.
    func add(_ watcher: RemoteWatcher)
    func remove(_ watcher: RemoteWatcher)
}

extension RemoteSource {
    var failure: (any Error)? { nil }

    /// For `waitSource`.
    var remoteWaitSource: WaitSource { WaitSource(RemoteReadiness(of: self)) }
}

/// A remote object as one hub sees it, for one wait for several.
final class RemoteReadiness: ReadinessSource {
    var owner = Owner()
    var observers: [Observer] = []
    private let object: any RemoteSource
    /// Where the object is a call of this pool: it has one OS thread more for its calls while one of them waits so.
    private let pool: OffloadPool?
    /// Called where the error of the object is asked for.
    private let whenAsked: () -> Void
    private var watcher: RemoteWatcher?
    private var isWaitingInside = false

    init(of object: any RemoteSource, in pool: OffloadPool? = nil, whenAsked: @escaping () -> Void = {}) {
        (self.object, self.pool, self.whenAsked) = (object, pool, whenAsked)
    }

    var kind: String { "\(type(of: object))" }
    var isReady: Bool { object.isReady }

    var failure: (any Error)? {
        guard let error = object.failure else { return nil }
        whenAsked()
        return error
    }

    func watch() {
        if !isWaitingInside { isWaitingInside = pool?.beginWaitInside() ?? false }
        let watcher = RemoteWatcher { self.look() }
        self.watcher = watcher
        object.add(watcher)
    }

    func unwatch() {
        endWaitInside()
        guard let watcher else { return }
        object.remove(watcher)
        watcher.end()
        self.watcher = nil
    }

    /// It was ready, and may not be any more: another green thread or task was faster.
    private func look() {
        watcher = nil
        if !isReady { return observers.isEmpty ? () : watch() }
        endWaitInside()
        announce()
    }

    private func endWaitInside() {
        if isWaitingInside { pool!.endWaitInside() }
        isWaitingInside = false
    }
}

/// Calls back on a hub, in its loop, when a remote object has become ready.
// `callback` is touched on that hub's OS thread only; others hold the reference, and pass it back.
final class RemoteWatcher: @unchecked Sendable {
    private let hub = Hub.current.remote
    private var callback: (() -> Void)?

    fileprivate init(_ callback: @escaping () -> Void) { self.callback = callback }

    /// Callable from any OS thread.
    func ring() {
        _ = hub.callInHub {
            let callback = self.callback
            self.end()
            callback?()
        }
    }

    /// It calls back no more.
    fileprivate func end() { callback = nil }
}

/// The watchers of one remote object, guarded by its mutex.
struct RemoteWatchers {
    private var watchers: [RemoteWatcher] = []

    var count: Int { watchers.count }

    mutating func add(_ watcher: RemoteWatcher) { watchers.append(watcher) }
    mutating func remove(_ watcher: RemoteWatcher) { watchers.removeAll { $0 === watcher } }

    /// To be rung outside of the mutex: that takes the lock of a hub.
    @inline(__always)
    mutating func take(if isReady: Bool) -> [RemoteWatcher] {
        guard isReady, !watchers.isEmpty else { return [] }
        defer { watchers = [] }
        return watchers
    }
}
