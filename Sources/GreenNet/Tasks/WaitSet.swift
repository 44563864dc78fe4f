/// Waits for several objects at once, for one green thread, and keeps the order in which they became ready.  It names them by their index.
final class WaitSet {
    // Raw memory: the green thread is in it while it waits.
    private let waiting = WaitQueue.make()
    /// Of each object that is not ready yet.
    private var observers: [Int: (object: any ReadinessSource, observer: Observer)] = [:]
    /// Ready, and not yet returned by `next`.
    private var ready: [Int] = []
    private var returned = 0

    /// Objects that are ready already come first, in the order of the list.  An object that is listed twice counts once.
    init(_ objects: [any Waitable]) {
        var known: Set<ObjectIdentifier> = []
        for (index, object) in objects.enumerated() where known.insert(ObjectIdentifier(object)).inserted {
            let source = object.waitSource.object
            if source.isReady { ready.append(index) } else { observe(source, index) }
        }
    }

    deinit { waiting.deallocate() }

    private func observe(_ object: any ReadinessSource, _ index: Int) {
        let observer = object.observe { [unowned self] in
            observers[index] = nil
            ready.append(index)
            waiting.wakeAll()
        }
        observers[index] = (object, observer)
    }

    /// Waits for the next object that becomes ready.  Nil where all were returned, and where `deadline` has passed.
    func next(until deadline: Deadline) throws(WaitError) -> Int? {
        let thread = Hub.currentThread
        while returned == ready.count {
            if observers.isEmpty { return nil }
            switch thread.error(after: thread.wait(for: .several, until: deadline, in: waiting)) {
            case nil: continue
            case .deadlinePassed: return nil
            case let error?: throw error
            }
        }
        defer { returned += 1 }
        return ready[returned]
    }

    /// Whether all were returned.
    var isDone: Bool { observers.isEmpty && returned == ready.count }

    /// To be called before it is released: it leaves no observer behind.
    func stop() {
        for (object, observer) in observers.values { object.forget(observer) }
        observers = [:]
    }
}
