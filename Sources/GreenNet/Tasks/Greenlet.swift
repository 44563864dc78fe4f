/// A green thread, whatever it gives: its name, its state, its end.
///
/// Belongs to the OS thread that spawned it.
public class AnyGreenlet: Waitable {
    // There is one for every connection: a name and the like is kept by those that have one.
    //
    // Unchecked, here and below: every spawn touches these, and asking each time whether accesses overlap takes a tenth of it.  None lasts across a
    // call that parks.

    /// Nil once it has ended.
    @exclusivity(unchecked)
    final var thread: GreenThread?
    /// The variables of which it has one of its own.
    @exclusivity(unchecked)
    final var locals: [WeakLocal] = []
    /// Counts up from 1 within its hub, where the main green thread is the first.
    @exclusivity(unchecked)
    public internal(set) final var id: UInt64 = 0
    /// As given to `spawn`.
    public var name: String? { nil }
    /// What it was killed with, for good.
    final var killReason: (any Error)?
    /// What it is among fibers: a core for each type of value that it has exchanged.
    final var fiberCores: [AnyObject] = []

    /// Where it was spawned; nil for the main one.
    public var spawnSite: SpawnSite? { nil }
    /// The `id` of the green thread that spawned it, which may have ended since; nil for the main one.
    public final var spawner: UInt64? { spawnerID == 0 ? nil : spawnerID }
    /// 0 for the main one.
    @exclusivity(unchecked)
    final var spawnerID: UInt64 = 0
    /// Somebody has asked how it ended.
    final var isObserved = false

    /// Its hub closes, and will wait until it has ended.
    func willClose() {}

    /// On its own stack.
    func run() { fatalError("\(Self.self) has no body") }

    /// Where a green thread stands between its spawn and its end.
    public enum State: Hashable, Sendable {
        /// Spawned; its body has not begun.
        case starting
        /// Waits for its turn.
        case ready
        /// It is the one that asks.
        case running
        /// Parked in a call that waits.
        case waiting
        /// Its body returned.
        case finished
        /// Its body threw, or there was no stack for it.
        case failed
        /// It was killed, and ended by that.
        case killed
    }

    /// Where it stands now.
    public final var state: State {
        guard let thread else { return endState }
        switch thread.state {
        case .running: return .running
        case .parked: return .waiting
        case .ready, .ended: return thread.isStarted ? .ready : .starting
        }
    }

    private var endState: State {
        guard let failure else { return .finished }
        return killReason != nil && wasKilled ? .killed : failure is GreenletExit ? .killed : .failed
    }

    final var isKilled: Bool { killReason != nil }

    /// Set when the body, killed, ended with what it was killed with.
    fileprivate final var wasKilled = false

    /// What it ended with, where that is an error.
    fileprivate final var thrown: (any Error)?

    override final var failure: (any Error)? { thrown }

    /// Makes it ready, or failed where there is no stack for it.
    @usableFromInline
    final func begin() {
        do throws(SpawnError) {
            try Hub.currentThread.scheduler.start(self)
        } catch {
            fail(error)
        }
    }

    final func fail(_ error: any Error, killed: Bool = false) {
        wasKilled = killed
        thrown = error
    }

    fileprivate final func reportIfUnobserved() {
        guard let thrown, !isObserved, !wasKilled, !(thrown is GreenletExit) else { return }
        Hub.report(UnobservedFailure(name: title, error: thrown, spawnSite: spawnSite))
    }

    /// Whether its body has returned or thrown, or will never begin.
    public final var hasEnded: Bool { thread == nil }

    override final var isReady: Bool { hasEnded }

    /// Waits until it has ended, or until `deadline`.  Returns whether it has ended; never throws what its body threw.
    @discardableResult
    public final func join(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        let caller = Hub.currentThread
        while let thread {
            require(thread != caller, "a green thread can't join itself")
            require(
                thread.scheduler == caller.scheduler, "a green thread is joined from another OS thread than its own")
            let wake = caller.wait(for: .end, id, until: deadline, in: thread.joiners)
            switch caller.error(after: wake) {
            case nil: continue
            case .deadlinePassed: return hasEnded
            case let error?: throw error
            }
        }
        return true
    }

    /// Makes its current wait and every later one throw, until its body has ended; then `error` is what it has ended with.
    ///
    /// Never waits itself: `join()` does.  One that has not begun will not: it ends with `error`.  One inside `shielded` notices when
    /// it comes out.  A second kill, or one after the end, changes nothing.
    public final func kill(throwing error: any Error = GreenletExit()) {
        guard let thread, killReason == nil else { return }
        require(thread != thread.scheduler.main, "the main green thread can't be killed")
        killReason = error
        thread.setKilled()
        if thread.shields == 0 { thread.wake(.cancelled) }
    }

    /// The name by which dumps and errors speak of it.
    package final var title: String { name.map { "green thread \(id) (\($0))" } ?? "green thread \(id)" }
}

/// A green thread that gives a `Value`.
public final class Greenlet<Value>: AnyGreenlet {
    private var body: (() throws -> Value)?
    /// What the body returned; nil where it has not.  Raw memory, because this class is not compiled for each `Value`: an optional one among its properties
    /// would have the runtime look up types whenever it is touched, which takes longer than all the rest of a spawn.
    private var returned: UnsafeMutablePointer<Value>?

    private let givenName: String?
    private let site: SpawnSite

    @usableFromInline
    init(name: String?, fileID: StaticString, line: UInt, _ body: @escaping () throws -> Value) {
        (self.body, givenName, site) = (body, name, SpawnSite(fileID: fileID, line: line))
    }

    override public var name: String? { givenName }
    override public var spawnSite: SpawnSite? { site }

    deinit {
        returned?.freeValue()
        if thrown != nil { reportIfUnobserved() }
    }

    override func run() {
        let body = body!
        self.body = nil
        if thread!.isCancelled { return fail(killReason!, killed: true) }
        do {
            returned = .allocate(holding: try body())
        } catch let error as any WaitEnding where error.waitError == .cancelled && killReason != nil {
            fail(killReason!, killed: true)
        } catch {
            fail(error)
        }
    }

    /// Nil while it lives.
    var outcome: Result<Value, any Error>? {
        if let thrown { return .failure(thrown) }
        return returned.map { .success($0.pointee) }
    }

    /// How it ended; nil while it lives.
    public var result: Result<Value, any Error>? {
        isObserved = isObserved || hasOutcome
        return outcome
    }

    /// Waits until it has ended, and returns what its body returned or throws what it threw.
    /// Throws `WaitError.deadlinePassed` where it has not ended by `deadline`.
    public func value(until deadline: Deadline = .never) throws -> Value {
        guard try join(until: deadline) else { throw WaitError.deadlinePassed }
        isObserved = true
        if let thrown { throw thrown }
        return returned!.pointee
    }

    private var hasOutcome: Bool { thrown != nil || returned != nil }
}

extension UnsafeMutablePointer {
    /// Holds `value`, until `freeValue()`.  What has no size needs no memory.
    fileprivate static func allocate(holding value: Pointee) -> Self {
        if MemoryLayout<Pointee>.size == 0 { return Self(bitPattern: MemoryLayout<Pointee>.alignment)! }
        let memory = allocate(capacity: 1)
        memory.initialize(to: value)
        return memory
    }

    fileprivate func freeValue() {
        if MemoryLayout<Pointee>.size == 0 { return }
        deinitialize(count: 1)
        deallocate()
    }
}

/// Stands for the OS thread's own stack.
final class MainGreenlet: AnyGreenlet {
    override var name: String? { "main" }
}

// As with `Task.sleep`, the static ones need no `Value`.
extension Greenlet where Value == Never {
    /// The green thread that runs now.
    public static var current: AnyGreenlet { Hub.currentThread.greenlet }

    /// Lets every other green thread that is ready run before this one goes on.
    ///
    /// For loops that run for long without a call that waits: nothing interrupts a green thread; see <doc:Fairness>.  Costs some ten nanoseconds where no
    /// other one is ready.  Throws when killed or when an enclosing time limit is over.
    public static func yield() throws(WaitError) {
        let thread = Hub.currentThread
        thread.giveWay()
        try thread.throwIfInterrupted()
    }

    /// Waits for `duration`, a little longer rather than shorter.  A duration of zero or less is a `yield()`.
    public static func sleep(for duration: Duration) throws(WaitError) {
        guard duration > .zero else { return try yield() }
        try sleep(until: .after(duration))
    }

    /// Waits until `deadline` has come.
    public static func sleep(until deadline: Deadline) throws(WaitError) {
        let thread = Hub.currentThread
        let error = thread.error(after: thread.wait(for: .sleep, until: deadline))
        if let error, error != .deadlinePassed { throw error }
    }
}
