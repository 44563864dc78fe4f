/// The state of a `Fiber`.
@usableFromInline
final class FiberCore: Coroutine {
    /// Takes the first value out of the slot, runs the program's body, and puts its value into the slot.
    typealias Body = (FiberCore) throws -> Void

    struct Parent {
        /// The `Fiber`, which is not dropped while it has a child.
        let handle: AnyObject
        let core: FiberCore
    }

    /// The `Fiber` that the program has.
    weak var handle: AnyObject?
    var parent: Parent?
    private var body: Body?
    /// Memory for the value of the next switch to it, of the type `valueType`.  Only between the two halves of a switch is there a value in it.
    @exclusivity(unchecked)
    @usableFromInline
    var slot: UnsafeMutableRawPointer

    init(exchanging type: Any.Type, name: String?, parent: Parent?, stackSize: Int?, _ body: @escaping Body) {
        (self.parent, self.body, slot) = (parent, body, .allocate(for: type))
        super.init(name: name, stackSize: stackSize, valueType: type)
    }

    private init(exchanging type: Any.Type, of greenlet: AnyGreenlet) {
        slot = .allocate(for: type)
        super.init(name: greenlet.name, stackSize: nil, valueType: type)
        isStarted = true
        greenlet.add(self)
    }

    deinit { slot.deallocate() }

    override var kind: String { "Fiber<\(valueType!)>" }

    /// What `thread`, which runs, is among the fibers that exchange values of `type`.
    @inline(__always)
    private static func core(of thread: GreenThread, exchanging type: Any.Type) -> Unmanaged<FiberCore> {
        guard let role = thread.role(exchanging: type) else { return makeCore(of: thread, exchanging: type) }
        return Unmanaged.fromOpaque(role.toOpaque())
    }

    @inline(never)  // Rare: once for each green thread and type.
    private static func makeCore(of thread: GreenThread, exchanging type: Any.Type) -> Unmanaged<FiberCore> {
        .passUnretained(FiberCore(exchanging: type, of: thread.greenlet))
    }

    static func current(exchanging type: Any.Type) -> FiberCore {
        core(of: Hub.currentThread, exchanging: type).takeUnretainedValue()
    }

    /// Whether it is `other`, or a child of its, or a child's.
    func descends(from other: FiberCore) -> Bool {
        sequence(first: self) { $0.parent?.core }.contains { $0 === other }
    }

    // MARK: Switching

    /// The first half of a switch from the current fiber to this one: the caller puts the value into the slot of `target`, and calls `go()`.
    ///
    /// Where it throws `FiberError.busy`, nothing has changed.
    @inline(__always)
    @usableFromInline
    func prepareSwitch(exchanging type: Any.Type) throws -> FiberSwitch {
        try prepareSwitch(exchanging: type, throwing: false)
    }

    @inline(__always)
    private func prepareSwitch(exchanging type: Any.Type, throwing isError: Bool) throws -> FiberSwitch {
        let thread = ownThread()
        let me = FiberCore.core(of: thread, exchanging: type)
        if isSuspended {
            if thread.isCancelled { throw WaitError.cancelled }
            return FiberSwitch(from: me, to: .passUnretained(self))
        }
        return try prepareOther(from: me, on: thread, throwing: isError)
    }

    /// As `prepareSwitch`, where it has not begun or is dead.
    @inline(never)
    private func prepareOther(
        from me: Unmanaged<FiberCore>, on thread: GreenThread, throwing isError: Bool
    ) throws -> FiberSwitch {
        let current = me.takeUnretainedValue()
        if let receiver = receiver(ofError: isError), receiver !== current, receiver.isBusy { throw FiberError.busy }
        guard let target = try begin(withError: isError) else { throw FiberError.dead }
        // On a hub that closes, one that has just begun was killed.
        if target !== current, !target.isSuspended { throw FiberError.busy }
        if target !== current, thread.isCancelled { throw WaitError.cancelled }
        return FiberSwitch(from: me, to: .passUnretained(target))
    }

    /// A switch whose receiver throws `error`.  Returns once a value is in the slot of the current fiber, which is returned.
    @usableFromInline
    func throwInto(_ error: any Error, exchanging type: Any.Type) throws -> FiberCore {
        let way = try prepareSwitch(exchanging: type, throwing: true)
        if way.isNone { throw error }
        way.target.takeUnretainedValue().pendingError = error
        try way.go()
        return way.me.takeUnretainedValue()
    }

    /// Itself, or the nearest ancestor that is not dead.
    private var living: FiberCore? {
        var core: FiberCore? = self
        while let current = core, current.isDead { core = current.parent?.core }
        return core
    }

    /// It has begun, and no switch to it is possible.
    var isBusy: Bool { isStarted && !isSuspended && !isDead }

    /// Itself or an ancestor.  A fiber that has not begun does not receive errors.
    private func receiver(ofError isError: Bool) -> FiberCore? {
        var core = living
        while isError, let current = core, !current.isStarted { core = current.parent?.core.living }
        return core
    }

    /// Returns the receiver, ready to be switched to.  Fibers before it that have not begun die of an error.
    private func begin(withError isError: Bool) throws(SpawnError) -> FiberCore? {
        while let core = living, !core.isStarted {
            if isError { core.isFinished = true } else { try core.start() }
        }
        return living
    }

    // MARK: Running and ending

    override func runBody() -> (any Error)? {
        let body = body!
        self.body = nil
        do { try body(self) } catch { return error }
        return nil
    }

    /// Makes the parent run next.  A fiber that was released, or whose hub closes, has no parent to resume.
    override func end(with failure: (any Error)?) {
        let parent = isKilled ? nil : try? self.parent?.core.begin(withError: failure != nil)
        guard let parent, parent.isSuspended else {
            if !isKilled { report(failure) }
            if failure == nil { slot.destroyValue(of: valueType!) }
            return
        }
        parent.pendingError = failure
        // The value changes hands with its memory: here its type is not known.
        if failure == nil { swapSlots(with: parent) }
        setSuccessor(parent.thread!)
    }

    private func swapSlots(with other: FiberCore) { (slot, other.slot) = (other.slot, slot) }
}

/// A switch from the fiber that runs, `me`, to `target`.  Both live until it is over: the one runs, and the caller has the other or a descendant of it.
@usableFromInline
struct FiberSwitch {
    @usableFromInline
    let me: Unmanaged<FiberCore>
    @usableFromInline
    let target: Unmanaged<FiberCore>

    @inline(__always)
    init(from me: Unmanaged<FiberCore>, to target: Unmanaged<FiberCore>) { (self.me, self.target) = (me, target) }

    /// From a fiber to itself.
    @inline(__always)
    var isNone: Bool { me.toOpaque() == target.toOpaque() }

    /// The second half of a switch.  Returns once a value is in the slot of `me`.
    @usableFromInline
    func go() throws {
        if isNone { return }
        try me._withUnsafeGuaranteedRef { me in
            try me.leave(me.thread!, for: target._withUnsafeGuaranteedRef { $0.thread! })
        }
    }
}

extension UnsafeMutableRawPointer {
    /// Memory for one value of `type`.
    fileprivate static func allocate(for type: Any.Type) -> Self {
        func memory<Value>(_: Value.Type) -> Self {
            allocate(byteCount: MemoryLayout<Value>.size, alignment: MemoryLayout<Value>.alignment)
        }
        return _openExistential(type, do: memory)
    }

    /// There is a value of `type` in this memory, which is released.
    fileprivate func destroyValue(of type: Any.Type) {
        func destroy<Value>(_: Value.Type) { assumingMemoryBound(to: Value.self).deinitialize(count: 1) }
        _openExistential(type, do: destroy)
    }
}
