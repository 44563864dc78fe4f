/// A piece of program with a stack of its own, which runs when somebody switches to it, and no sooner.
///
/// Switching is symmetric: each fiber says itself who runs next and what it is given, and `switchTo` returns when somebody switches back.  Unlike
/// green threads, fibers are not scheduled, but a call that waits inside one parks it as it would a green thread; until it is woken,
/// others run and nobody can switch to it.  Every green thread is a fiber too: `Fiber.current` is whoever runs.
///
/// Whoever drops a suspended fiber ends it: its `switchTo` throws, so that it unwinds, before long.  Fibers exchange values of one type and belong to
/// their OS thread.  `Hub.run()` does not wait for them.
public final class Fiber<Value> {
    let core: FiberCore<Value>

    /// A fiber that will run `body` with the value of the first switch to it.  `body` must not hold the fiber itself.
    ///
    /// What `body` returns or throws becomes what the parent's `switchTo` returns or throws: by default, of whoever makes the fiber.
    public convenience init(name: String? = nil, parent: Fiber? = nil, _ body: @escaping (Value) throws -> Value) {
        self.init(FiberCore(name: name, parent: parent ?? .current, body))
    }

    init(_ core: FiberCore<Value>) {
        self.core = core
        core.handle = self
    }

    deinit { core.drop() }

    /// Whoever runs now, among those that exchange such values.
    public static var current: Fiber {
        let core = FiberCore<Value>.current
        return core.handle ?? Fiber(core)
    }

    /// Whether `body` has begun.
    public var isStarted: Bool { core.isStarted }

    /// Whether `body` has ended or never will begin.
    public var isDead: Bool { core.isDead }

    /// Who gets what it ends with; nil for one that is a green thread of its own.  A parent may not descend from its child.
    public var parent: Fiber? {
        get { core.parent }
        set {
            let ancestors = sequence(first: newValue) { $0?.core.parent }.prefix { $0 != nil }
            require(!ancestors.contains { $0!.core === core }, "a fiber can't descend from itself")
            core.parent = newValue
        }
    }

    /// Leaves the current fiber for this one, whose pending `switchTo` returns `value`.  Returns what whoever switches back gives.
    ///
    /// Where this one is dead, its parent takes its place, or its parent's.  Throws what is thrown into the caller; `FiberError` where this one can't be switched to;
    /// `SpawnError` where there is no stack for it; and `WaitError` when the caller was killed or the time of an enclosing limit is over.
    @discardableResult
    public func switchTo(_ value: Value) throws -> Value { try core.take(.success(value)) }

    /// As `switchTo`, but the pending `switchTo` of this one throws `error`.  One that has not begun never will, and `error` goes to its parent: not where
    /// that is busy, when nothing changes.
    @discardableResult
    public func throwInto(_ error: any Error = GreenletExit()) throws -> Value {
        try core.take(.failure(error))
    }
}

@available(*, unavailable)
extension Fiber: Sendable {}

/// Why a fiber can't be switched to.
public enum FiberError: Error, Hashable, Sendable {
    /// It waits for something else than to be switched to, or is about to run.
    case busy
    /// It is dead, and so are all its ancestors.
    case dead
    /// The generator was closed, and its body caught that and went on.
    case ignoredClose
}
