/// An object that a green thread can wait for together with others: the end of a green thread, an event, a result, a semaphore, a queue.
///
/// `waitAny`, `iterateReady` and `joinAll` take such objects.  A class of the program's own conforms by passing on the `waitSource` of an
/// object that it contains:
///
///     final class Download: Waitable {
///         private let done = GreenEvent()
///         var waitSource: WaitSource { done.waitSource }
///     }
///
/// To be used on the OS thread that made the object; `RemoteEvent`, `RemoteResult`, `RemoteChannel` and `RemoteSemaphore` on any, each wait on its own.
public protocol Waitable: AnyObject {
    /// What becomes ready.
    var waitSource: WaitSource { get }
}

/// What `waitAny` and the like look at behind a `Waitable`.  GreenNet's own objects make it.
public struct WaitSource {
    let object: any ReadinessSource

    init(_ object: any ReadinessSource) { self.object = object }
}

@available(*, unavailable)
extension WaitSource: Sendable {}

/// An object that becomes ready, and calls its observers then.
protocol ReadinessSource: HubObject {
    /// Whether a wait for it would return at once.
    var isReady: Bool { get }
    /// The error with which it has ended; nil for an object that does not end.
    var failure: (any Error)? { get }
    /// In the order in which they are called.  Empty, as nearly always, it is no allocation.
    var observers: [Observer] { get set }
    /// The first observer has come.
    func watch()
    /// The last observer was forgotten.
    func unwatch()
}

extension ReadinessSource {
    var failure: (any Error)? { nil }

    // Nothing, where the object itself announces that it is ready.
    func watch() {}
    func unwatch() {}

    /// Calls `callback` the next time that the object becomes ready, inside the call that makes it ready: `callback` must not wait.
    func observe(_ callback: @escaping () -> Void) -> Observer {
        checkOwner()
        let observer = Observer(callback)
        observers.append(observer)
        if observers.count == 1 { watch() }
        return observer
    }

    /// `observer` is not called any more.
    func forget(_ observer: Observer) {
        checkOwner()
        observer.callback = nil
        if observers.isEmpty { return }
        observers.removeAll { $0 === observer }
        if observers.isEmpty { unwatch() }
    }

    /// To be called whenever the object has become ready.
    @inline(__always)
    func announce() {
        if !observers.isEmpty { callObservers() }
    }

    private func callObservers() {
        let called = observers
        observers = []
        for observer in called { observer.call() }
    }

    /// For tests: a wait that is over leaves no observer behind.
    var observerCount: Int { observers.count }
}

/// A one-shot callback.  If it is forgotten while others are being called, it is not called.
final class Observer {
    fileprivate var callback: (() -> Void)?

    fileprivate init(_ callback: @escaping () -> Void) { self.callback = callback }

    fileprivate func call() {
        let callback = callback
        self.callback = nil
        callback?()
    }
}
