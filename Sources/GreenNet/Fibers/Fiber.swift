/// A coroutine with a stack of its own, which runs when another fiber switches to it.
///
/// Switching is symmetric: each fiber names the fiber that runs next and gives it a value, and `switchTo` returns when a fiber switches back.  Unlike
/// green threads, fibers are not scheduled, but a call that waits inside a fiber parks it as it would park a green thread; until it is woken,
/// other green threads run, and a switch to it throws.  Every green thread is a fiber too: `Fiber.current` is the fiber that runs.
///
/// When the last reference to a suspended fiber is released, its `switchTo` throws, so that it unwinds soon.  Fibers exchange values of one type, and are
/// to be used on the OS thread that made them.  `Hub.run()` does not wait for them.
public final class Fiber<Value> {
    @usableFromInline
    let core: FiberCore

    /// A fiber that will run `body` with the value of the first switch to it.  `body` must not hold the fiber itself.
    ///
    /// When `body` ends, the parent's `switchTo` returns its value or throws its error.  The parent is the fiber that makes this one, by default.
    /// `stackSize` is in bytes, as for `spawn`; the stack is made at the first switch.
    public convenience init(
        name: String? = nil, parent: Fiber? = nil, stackSize: Int? = nil, _ body: @escaping (Value) throws -> Value
    ) {
        let parent = (parent ?? .current).asParent
        let core = FiberCore(exchanging: Value.self, name: name, parent: parent, stackSize: stackSize) { core in
            // Two looks at the slot: a child's value comes in a slot of its own.
            let value = try body(core.slot.assumingMemoryBound(to: Value.self).move())
            core.slot.initializeMemory(as: Value.self, to: value)
        }
        self.init(core)
    }

    private init(_ core: FiberCore) {
        self.core = core
        core.handle = self
    }

    deinit { core.drop() }

    private var asParent: FiberCore.Parent { FiberCore.Parent(handle: self, core: core) }

    /// The fiber that runs now, among the fibers that exchange a `Value`.
    public static var current: Fiber {
        let core = FiberCore.current(exchanging: Value.self)
        return core.handle.map { unsafeDowncast($0, to: Fiber.self) } ?? Fiber(core)
    }

    /// Whether `body` has begun.
    public var isStarted: Bool { core.isStarted }

    /// Whether `body` has ended or never will begin.
    public var isDead: Bool { core.isDead }

    /// The fiber that gets the value or the error at the end; nil for a green thread.  A parent must not descend from its child.
    public var parent: Fiber? {
        get { core.parent.map { unsafeDowncast($0.handle, to: Fiber.self) } }
        set {
            require(newValue?.core.descends(from: core) != true, "a fiber can't descend from itself")
            core.parent = newValue?.asParent
        }
    }

    /// Switches from the current fiber to this one, whose pending `switchTo` returns `value`.  Returns the value of the switch back.
    ///
    /// If this fiber is dead, its parent takes its place, or its parent's parent.  Throws the error that is thrown into the caller, or that of a child that
    /// has ended; `FiberError` where no switch is possible; `SpawnError` where there is no stack for this fiber; and `WaitError` when the caller is killed or
    /// an enclosing time limit is over.  The type is `any Error`, for bodies can throw any type.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    @inlinable  // here and below: only the caller's code knows the type of the value as it is compiled
    public func switchTo(_ value: Value) throws -> Value {
        let way = try core.prepareSwitch(exchanging: Value.self)
        way.target._withUnsafeGuaranteedRef { _ = $0.slot.initializeMemory(as: Value.self, to: value) }
        try way.go()
        return way.me._withUnsafeGuaranteedRef { $0.slot.assumingMemoryBound(to: Value.self).move() }
    }

    /// As `switchTo`, but the pending `switchTo` of this fiber throws `error`.  A fiber that has not begun never will, and `error` goes to its parent; if
    /// the parent is busy, this call throws `FiberError.busy` and nothing changes.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    @inlinable
    public func throwInto(_ error: any Error = GreenletExit()) throws -> Value {
        try core.throwInto(error, exchanging: Value.self).slot.assumingMemoryBound(to: Value.self).move()
    }
}

@available(*, unavailable)
extension Fiber: Sendable {}

/// Why a fiber can't be switched to.
public enum FiberError: Error, Hashable, Sendable {
    /// It waits for an event, and not for a switch; or it is about to run.
    case busy
    /// It is dead, and so are all its ancestors.
    case dead
    /// The generator was closed, and its body caught the error and went on.
    case ignoredClose
}
