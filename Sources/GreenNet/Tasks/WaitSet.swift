/// Looks out for several things at once, for one green thread, and keeps the order in which they became ready.
final class WaitSet<Object: Waitable> {
    // Raw memory: the green thread stands in it while it waits.
    private let waiting = WaitQueue.make()
    private var observers: [ObjectIdentifier: (object: Object, observer: Observer)] = [:]
    /// Ready, and not yet returned by `next`.
    private var ready: [Object] = []
    private var returned = 0

    /// Those of `objects` that are ready already come first, in the order of the list.  One that stands in it twice counts once.
    init(_ objects: [Object]) {
        var known: Set<ObjectIdentifier> = []
        for object in objects where known.insert(ObjectIdentifier(object)).inserted {
            if object.isReady { ready.append(object) } else { observe(object) }
        }
    }

    deinit { waiting.deallocate() }

    private func observe(_ object: Object) {
        let observer = object.observe { [unowned self, unowned object] in
            observers[ObjectIdentifier(object)] = nil
            ready.append(object)
            waiting.wakeAll()
        }
        observers[ObjectIdentifier(object)] = (object, observer)
    }

    /// Waits for the next one that becomes ready.  Nil where all were returned.
    func next(until deadline: Deadline) throws(WaitError) -> Object? {
        let thread = Hub.currentThread
        while returned == ready.count {
            if observers.isEmpty { return nil }
            if let error = thread.error(after: thread.wait(for: .several, until: deadline, in: waiting)) { throw error }
        }
        defer { returned += 1 }
        return ready[returned]
    }

    /// Whether all were returned.
    var isDone: Bool { observers.isEmpty && returned == ready.count }

    /// To be called before it is let go: it leaves no trace in what it has looked at.
    func stop() {
        for (object, observer) in observers.values { object.forget(observer) }
        observers = [:]
    }
}
