/// What a green thread can wait for together with others of its kind: the end of green threads, events, results, semaphores, queues.
///
/// `waitAny`, `iterateReady` and `joinAll` take them.  Belongs to its OS thread.
public class Waitable {
    // Called in the order in which they came.  Empty, as nearly always, it is no allocation.  Unchecked: every end of a green thread looks here,
    // and nothing parks meanwhile.
    @exclusivity(unchecked)
    private final var observers: [Observer] = []

    init() {}

    /// Whether whoever waits for it now would not have to.
    var isReady: Bool { fatalError("\(Self.self) is never ready") }

    /// The error with which it has ended, where it is one that ends.
    var failure: (any Error)? { nil }

    /// Calls `callback` the next time that it becomes ready, in the midst of whatever makes it so: it must not wait.
    final func observe(_ callback: @escaping () -> Void) -> Observer {
        let observer = Observer(callback)
        observers.append(observer)
        return observer
    }

    final func forget(_ observer: Observer) {
        observer.callback = nil
        observers.removeAll { $0 === observer }
    }

    /// To be called whenever it has become ready.
    @inline(__always)
    final func announce() {
        if !observers.isEmpty { tellObservers() }
    }

    private final func tellObservers() {
        let told = observers
        observers = []
        for observer in told { observer.tell() }
    }

    /// For tests: nobody may stay behind who waits no more.
    final var observerCount: Int { observers.count }
}

@available(*, unavailable)
extension Waitable: Sendable {}

/// One who is told once.  Forgotten while others are told, it is not.
final class Observer {
    fileprivate var callback: (() -> Void)?

    fileprivate init(_ callback: @escaping () -> Void) { self.callback = callback }

    fileprivate func tell() {
        let callback = callback
        self.callback = nil
        callback?()
    }
}
