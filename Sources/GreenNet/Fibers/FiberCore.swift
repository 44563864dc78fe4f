/// The state of a `Fiber`.  It outlives the `Fiber` while the stack unwinds.
final class FiberCore<Value>: HubObject {
    @exclusivity(unchecked)
    var owner = Owner()
    /// Of the fiber that a program has.
    var kind: String { "Fiber<\(Value.self)>" }
    weak var handle: Fiber<Value>?
    var parent: Fiber<Value>?
    private let name: String?
    private let stackSize: Int?
    private var body: ((Value) throws -> Value)?
    /// The message of the next switch to it.
    private var inbox: Result<Value, any Error>?
    /// The green thread on whose stack it runs; nil before it begins.  A green thread holds the cores of the fibers that it is, and not the reverse.
    private weak var greenlet: AnyGreenlet?
    /// False for the fiber that a green thread is, or that a fiber for other values is.
    private var ownsStack = false
    private(set) var isStarted = false
    private var isFinished = false
    /// It has switched to another fiber, or has not begun to run.
    private var awaitsSwitch = false
    /// It is in the `yield` of a generator, where only a request for a value resumes it; inside `shielded`, too.
    var isAtYield = false

    init(name: String?, parent: Fiber<Value>?, stackSize: Int?, _ body: @escaping (Value) throws -> Value) {
        if let stackSize { StackClass.check(stackSize) }
        (self.name, self.parent, self.stackSize, self.body) = (name, parent, stackSize, body)
    }

    private init(of greenlet: AnyGreenlet) {
        (name, stackSize, isStarted) = (greenlet.name, nil, true)
        self.greenlet = greenlet
        greenlet.fiberCores.append(self)
    }

    static var current: FiberCore {
        let greenlet = Hub.currentThread.greenlet
        for case let core as FiberCore in greenlet.fiberCores { return core }
        return FiberCore(of: greenlet)
    }

    var isDead: Bool { isFinished || isStarted && thread == nil }

    private var thread: GreenThread? { greenlet?.thread }

    /// Parked until a fiber switches to it.  Not to the other fibers that its green thread is: fibers for other values wait in the same way.
    var isSuspended: Bool {
        guard awaitsSwitch, let thread else { return false }
        return thread.state == .parked && thread.waitKind == .fiber
    }

    /// Itself, or the nearest ancestor that is not dead.
    private var living: FiberCore? {
        var core: FiberCore? = self
        while let current = core, current.isDead { core = current.parent?.core }
        return core
    }

    // MARK: Switching

    /// Switches from the current fiber to this one.
    func take(_ message: Result<Value, any Error>) throws -> Value { try FiberCore.leave(for: self, with: message) }

    /// In the fiber that switches.  Where it throws `FiberError.busy`, nothing has changed.
    static func leave(for other: FiberCore, with message: Result<Value, any Error>) throws -> Value {
        let thread = other.ownThread()
        let me = current
        guard let target = try other.target(of: message, from: me) else { throw FiberError.dead }
        if target === me { return try message.get() }
        let next = target.thread!
        target.inbox = message
        me.awaitsSwitch = true
        defer { me.awaitsSwitch = false }
        if let error = thread.error(after: thread.handOver(to: next)) { throw error }
        return try me.takeMessage().get()
    }

    /// Itself or an ancestor, ready to be switched to.  Nil where all are dead.
    private func target(of message: Result<Value, any Error>, from me: FiberCore) throws -> FiberCore? {
        if isSuspended { return self }
        if let receiver = receiver(of: message), receiver !== me, receiver.isBusy { throw FiberError.busy }
        let target = try begin(with: message)
        // On a hub that closes, one that has just begun was killed.
        if let target, target !== me, !target.isSuspended { throw FiberError.busy }
        return target
    }

    /// It has begun, and no switch to it is possible.
    var isBusy: Bool { isStarted && !isSuspended && !isDead }

    /// Itself or an ancestor.  A fiber that has not begun does not receive errors.
    private func receiver(of message: Result<Value, any Error>) -> FiberCore? {
        var core = living
        if case .failure = message {
            while let current = core, !current.isStarted { core = current.parent?.core.living }
        }
        return core
    }

    /// Returns the receiver, ready to be switched to.  Fibers before it that have not begun die of an error.
    private func begin(with message: Result<Value, any Error>) throws(SpawnError) -> FiberCore? {
        while let core = living, !core.isStarted {
            if case .success = message { try core.start() } else { core.isFinished = true }
        }
        return living
    }

    private func takeMessage() -> Result<Value, any Error> {
        defer { inbox = nil }
        return inbox!
    }

    private func start() throws(SpawnError) {
        let greenlet = FiberGreenlet(name: name ?? "fiber") { [self] in run() }
        try Hub.currentThread.scheduler.startFiber(greenlet, on: StackClass(stackSize))
        greenlet.fiberCores.append(self)
        self.greenlet = greenlet
        (ownsStack, isStarted, awaitsSwitch) = (true, true, true)
    }

    // MARK: Running and ending

    /// On its own stack, with the first value in the inbox, unless it was killed before.
    private func run() {
        let body = body!
        self.body = nil
        awaitsSwitch = false
        let isKilled = Hub.currentThread.isCancelled
        let result = isKilled ? nil : Result { try body(takeMessage().get()) }
        isFinished = true
        if let result { tellParent(result) }
    }

    /// Makes the parent run next.  A fiber that was released, or whose hub closes, has no parent to resume.
    private func tellParent(_ result: Result<Value, any Error>) {
        if isKilled { return }
        let parent = try? self.parent?.core.begin(with: result)
        guard let parent, parent.isSuspended, let next = parent.thread else {
            if case .failure(let error) = result {
                Hub.report(UnobservedFailure(name: name ?? "a fiber", error: error, spawnSite: nil))
            }
            return
        }
        parent.inbox = result
        next.wakeReason = .event
        next.state = .ready
        next.scheduler.setSuccessor(next)
    }

    /// No fiber can switch to it any more.
    func drop() {
        guard ownsStack, !isFinished else { return }
        checkOwner()
        guard isSuspended else { return }
        kill()
        // Inside `shielded`, too: no other call could end that wait.
        thread?.wake(.cancelled)
    }

    /// Ends its wait, for whatever event.
    func kill() {
        greenlet?.kill()
        if isAtYield { thread?.wake(.cancelled) }
    }

    /// Released, or killed by the green thread that asked for a value.
    var isKilled: Bool { greenlet?.isKilled ?? true }

    /// Lets a suspended one go on with `message` at its turn; the caller runs on.
    func wake(with message: Value) {
        guard isSuspended else { return }
        inbox = .success(message)
        thread?.wake(.event)
    }
}

/// The stack of a fiber.
final class FiberGreenlet: AnyGreenlet {
    private let givenName: String
    private let body: () -> Void
    /// The hub does not wait for fibers, unless it closes.
    private var isCounted = false

    init(name: String, _ body: @escaping () -> Void) { (givenName, self.body) = (name, body) }

    override var name: String? { givenName }

    override func run() {
        body()
        fiberCores = []
        if !isCounted { thread!.scheduler.alive += 1 }
    }

    override func willClose() {
        isCounted = true
        thread!.scheduler.alive += 1
    }
}

extension Scheduler {
    fileprivate func startFiber(_ greenlet: FiberGreenlet, on size: StackClass) throws(SpawnError) {
        try startParked(greenlet, on: size)
        alive -= 1
        if fields.pointee.killsNewcomers {
            greenlet.willClose()
            greenlet.kill()
        }
    }
}
