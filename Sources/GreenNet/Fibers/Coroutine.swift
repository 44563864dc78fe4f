/// What a fiber and a generator have in common: a body on a stack of its own, which goes on when it is switched to.
///
/// Not generic, as the whole way of a switch: the code of a generic class would look up types as it runs, since it is compiled once for all of
/// them.  The values lie in memory of which only `Fiber`, `Generator` and `Yielder` name the type, and those are compiled where they are used.  It outlives the
/// program's handle while the stack unwinds.
@usableFromInline
class Coroutine: GreenThreadRole, HubObject {
    @exclusivity(unchecked)  // here and below: no access lasts across a switch
    final var owner = Owner()
    final let name: String?
    private let stackSize: Int?
    /// False for the fiber that a green thread is, or that a fiber for other values is.
    private final var ownsStack = false
    @exclusivity(unchecked)
    final var isStarted = false
    @exclusivity(unchecked)
    final var isFinished = false
    /// It has switched to another coroutine, or has not begun to run.
    @exclusivity(unchecked)
    final var awaitsSwitch = false
    /// What the next switch to it throws there.
    @exclusivity(unchecked)
    final var pendingError: (any Error)?

    init(name: String?, stackSize: Int?, valueType: Any.Type?) {
        if let stackSize { StackClass.check(stackSize) }
        (self.name, self.stackSize) = (name, stackSize)
        super.init(valueType: valueType)
    }

    // Of the object that a program has.
    var kind: String { fatalError("\(Self.self) has no kind") }

    /// On its own stack.  Returns what it has thrown.
    func runBody() -> (any Error)? { fatalError("\(Self.self) has no body") }

    /// Makes the coroutine run next that gets the value of the body, or `failure`.
    func end(with failure: (any Error)?) { fatalError("\(Self.self) has no end") }

    /// As `AnyGreenlet.kill`, also where only another coroutine could end its wait.
    func kill() { thread?.greenlet.kill() }

    final var isDead: Bool { isFinished || isStarted && thread == nil }

    /// Parked until another coroutine switches to it.  Not to the others that its green thread is: fibers for other values wait in the same way.
    @inline(__always)
    final var isSuspended: Bool {
        guard awaitsSwitch, let thread else { return false }
        return thread.awaitsHandOver
    }

    /// Released, or killed by the green thread that asked for a value.
    @inline(__always)
    final var isKilled: Bool { thread?.isKilled ?? true }

    // MARK: Switching

    /// Leaves this coroutine, which runs on `thread`, for the one that `next` runs.  Throws where the wait has ended otherwise than by a switch back, and what
    /// was thrown into it.
    @inline(__always)
    final func leave(_ thread: GreenThread, for next: GreenThread) throws {
        awaitsSwitch = true
        let wake = thread.handOver(to: next)
        awaitsSwitch = false
        if let error = thread.error(after: wake) { throw error }
        if pendingError != nil { throw takeError() }
    }

    final func takeError() -> any Error {
        defer { pendingError = nil }
        return pendingError!
    }

    // MARK: Running and ending

    /// Parked on a stack of its own from now on, unless the hub closes.
    final func start() throws(SpawnError) {
        let greenlet = CoroutineGreenlet(self)
        try Hub.currentThread.scheduler.startCoroutine(greenlet, on: StackClass(stackSize))
        greenlet.add(self)
        (ownsStack, isStarted, awaitsSwitch) = (true, true, true)
    }

    /// On its own stack; the body is not run where it was killed before.
    final func run() {
        awaitsSwitch = false
        let isKilled = Hub.currentThread.isCancelled
        let failure = isKilled ? nil : runBody()
        isFinished = true
        if !isKilled { end(with: failure) }
    }

    /// For `end`: `thread`, which is parked in a switch, runs next.
    final func setSuccessor(_ thread: GreenThread) {
        thread.wakeReason = .event
        thread.state = .ready
        thread.scheduler.setSuccessor(thread)
    }

    /// For `end`, where there is no receiver.
    final func report(_ failure: (any Error)?) {
        guard let failure else { return }
        Hub.report(UnobservedFailure(name: name ?? "a fiber", error: failure, spawnSite: nil))
    }

    /// No coroutine can switch to it any more.
    final func drop() {
        guard ownsStack, !isFinished else { return }
        checkOwner()
        guard isSuspended else { return }
        kill()
        // Inside `shielded`, too: no other call could end that wait.
        thread?.wake(.cancelled)
    }
}

extension GreenThread {
    /// Parked, and goes on once a coroutine hands over to it.
    @inline(__always)
    var awaitsHandOver: Bool { state == .parked && waitKind == .fiber }
}

/// The stack of a coroutine.
final class CoroutineGreenlet: AnyGreenlet {
    private let coroutine: Coroutine
    /// The hub does not wait for coroutines, unless it closes.
    private var isCounted = false

    init(_ coroutine: Coroutine) { self.coroutine = coroutine }

    override var name: String? { coroutine.name ?? "fiber" }

    override func run() {
        coroutine.run()
        endRoles()
        if !isCounted { thread!.scheduler.alive += 1 }
    }

    override func willClose() {
        isCounted = true
        thread!.scheduler.alive += 1
    }
}

extension Scheduler {
    fileprivate func startCoroutine(_ greenlet: CoroutineGreenlet, on size: StackClass) throws(SpawnError) {
        try startParked(greenlet, on: size)
        alive -= 1
        if fields.pointee.killsNewcomers {
            greenlet.willClose()
            greenlet.kill()
        }
    }
}
