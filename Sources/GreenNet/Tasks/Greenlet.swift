/// A green thread, whatever the type of its value: its name, its state, its end.
///
/// `spawn` makes it, as a `Greenlet`.  To be used on the OS thread that spawned it.
public class AnyGreenlet: Waitable {
    // There is one for every connection: a name and the like is kept by the subclasses that have one.
    //
    // Unchecked, here and below: every spawn touches these, and asking each time whether accesses overlap takes a tenth of it.  No access lasts across
    // a call that parks.

    @exclusivity(unchecked)
    final var observers: [Observer] = []
    /// Nil once it has ended.
    @exclusivity(unchecked)
    final var thread: GreenThread?
    /// Its values of `GreenLocal`s.
    @exclusivity(unchecked)
    final var locals: [LocalValue] = []
    /// Unique within the hub, and counted up from 1, the main green thread's.
    @exclusivity(unchecked)
    public internal(set) final var id: UInt64 = 0
    /// The name that was given to `spawn`.
    public var name: String? { nil }
    /// The error of the first kill.
    final var killReason: (any Error)?
    /// What it is besides, the latest first.
    @exclusivity(unchecked)
    final var roles: GreenThreadRole?

    /// Where it was spawned; nil for the main green thread and for fibers.
    public var spawnSite: SpawnSite? { nil }
    /// The `id` of the green thread that spawned it, which may have ended since; nil for the main green thread.
    public final var spawner: UInt64? { spawnerID == 0 ? nil : spawnerID }
    /// 0 for the main green thread.
    @exclusivity(unchecked)
    final var spawnerID: UInt64 = 0
    /// The program has asked how it ended, or will be told: its failure is not reported then.
    final var isObserved = false
    /// `Hub.run()` does not wait for it.
    final var isDaemon = false
    /// Its hub's, from the moment when it has a stack.
    @exclusivity(unchecked)
    final var owner = Owner()

    init() {}

    /// Its hub closes, and will wait until it has ended.
    func willClose() {}

    /// Its body, on its own stack.  The main green thread has none, for it runs already.
    func run() {}

    /// The states of a green thread, from its spawn to its end.
    public enum State: Hashable, Sendable {
        /// Spawned; its body has not begun.
        case starting
        /// Waits for its turn to run.
        case ready
        /// Runs: it is the green thread that reads `state`.
        case running
        /// Parked in a call that waits.
        case waiting
        /// Its body returned.
        case finished
        /// Its body threw, or there was no stack for it.
        case failed
        /// Its body was ended by a kill.
        case killed
    }

    /// Its state now.
    public final var state: State {
        checkOwner()
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

    final var failure: (any Error)? { thrown }

    /// Makes it ready, or failed where there is no stack for it.
    @usableFromInline
    final func begin(stackSize: Int?, inheriting: Bool) {
        do throws(SpawnError) {
            try Hub.currentThread.scheduler.start(self, on: StackClass(stackSize), inheriting: inheriting)
        } catch {
            fail(error)
        }
    }

    /// As `begin`; from then on, `Hub.run()` does not wait for it, unless the hub closes.
    final func beginAsDaemon(stackSize: Int?) {
        begin(stackSize: stackSize, inheriting: true)
        guard let scheduler = thread?.scheduler, !scheduler.fields.pointee.killsNewcomers else { return }
        isDaemon = true
        scheduler.addDaemon()
    }

    /// Its hub closes, and waits for it.
    final func stopBeingDaemon() {
        guard isDaemon else { return }
        isDaemon = false
        thread!.scheduler.fields.pointee.daemons -= 1
    }

    final func fail(_ error: any Error, killed: Bool = false) {
        wasKilled = killed
        thrown = error
    }

    /// Once: nothing is observed later.
    final func reportIfUnobserved() {
        guard let thrown, !isObserved, !wasKilled, !(thrown is GreenletExit) else { return }
        isObserved = true
        Hub.report(UnobservedFailure(name: title, error: thrown, spawnSite: spawnSite))
    }

    /// Whether its body has returned or thrown, or will never begin.
    public final var hasEnded: Bool { thread == nil }

    /// Ready once it has ended.
    public final var waitSource: WaitSource { WaitSource(self) }

    /// Waits until it has ended, or until `deadline`.  Returns whether it has ended, and never throws what its body threw.
    ///
    /// Throws when the caller is killed or an enclosing time limit is over.  Callable from any other green thread of the same OS thread.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public final func join(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        let caller = ownThread()
        while let thread {
            require(thread != caller, "a green thread can't join itself")
            let wake = caller.wait(for: .end, id, until: deadline, in: thread.joiners)
            switch caller.error(after: wake) {
            case nil: continue
            case .deadlinePassed: return hasEnded
            case let error?: throw error
            }
        }
        return true
    }

    /// Makes its current wait and every later one throw `WaitError.cancelled`, until its body has ended; then `error` is its result.
    ///
    /// Never waits: `join()` does.  A green thread that has not begun never will, and ends with `error`.  Inside `shielded`, the kill takes effect
    /// at the first wait after it.  A second kill, or a kill after the end, changes nothing.  Callable from any green thread of the same OS thread,
    /// and from a callback of the hub; the main green thread can't be killed.
    public final func kill(throwing error: any Error = GreenletExit()) {
        checkOwner()
        guard let thread, killReason == nil else { return }
        require(thread != thread.scheduler.main, "the main green thread can't be killed")
        killReason = error
        thread.setKilled()
        if thread.shields == 0 { thread.wake(.cancelled) }
    }

    /// The name by which dumps and errors speak of it.
    package final var title: String { name.map { "green thread \(id) (\($0))" } ?? "green thread \(id)" }
}

extension AnyGreenlet: ReadinessSource {
    var isReady: Bool { hasEnded }
}

@available(*, unavailable)
extension AnyGreenlet: Sendable {}

/// A green thread whose body returns a `Value`.
///
/// To be used on the OS thread that spawned it; `RemoteHub.result(of:)` is for other OS threads.
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

    /// Nil until it has ended.
    var outcome: Result<Value, any Error>? {
        if let thrown { return .failure(thrown) }
        return returned.map { .success($0.pointee) }
    }

    /// What its body returned or threw; nil until it has ended.  An error then counts as observed, and is not reported.
    public var result: Result<Value, any Error>? {
        checkOwner()
        isObserved = isObserved || hasOutcome
        return outcome
    }

    /// Waits until it has ended, and returns what its body returned or throws what its body threw.
    ///
    /// Throws `WaitError.deadlinePassed` where it has not ended by `deadline`, and `WaitError` when the caller is killed or an enclosing time limit is
    /// over; the green thread runs on then.  The type is `any Error`, for a body can throw any type, and so can a kill.  Callable from any other green thread of the same OS thread.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func value(until deadline: Deadline = .never) throws -> Value {
        guard try join(until: deadline) else { throw WaitError.deadlinePassed }
        isObserved = true
        if let thrown { throw thrown }
        return returned!.pointee
    }

    private var hasOutcome: Bool { thrown != nil || returned != nil }
}

/// Stands for the OS thread's own stack.
final class MainGreenlet: AnyGreenlet {
    override var name: String? { "main" }
}

// As with `Task.sleep`, the static ones need no `Value`.
extension Greenlet where Value == Never {
    /// The green thread that runs now.  On an OS thread without a hub, it makes one; the caller is its main green thread.
    public static var current: AnyGreenlet { Hub.currentThread.greenlet }

    /// The green thread that runs now; nil on an OS thread without a hub, for which it makes none.  For what may be called on any OS thread, such as the metadata
    /// of a log line.  Callable from any OS thread; never waits.
    public static var currentIfAny: AnyGreenlet? { Context.running?.greenlet }

    /// How many bytes of the running green thread's stack are left: from the stack pointer, inside this call, down to the guard.
    ///
    /// For recursion whose depth comes from outside: it can refuse in time, and throw, where an overflow would stop the program; see <doc:Stacks>.
    /// A call of it takes some of the bytes itself, 200 at most in a release build.  The guard is not counted, nor what was used further down before.
    ///
    /// On the main green thread, the stack is the OS thread's own, whose bounds are asked for at the first read (pthread_getattr_np): on the process's first
    /// OS thread it ends where the limit `ulimit -s` of that moment has it end, and the kernel backs it page by page.  0 where the system does not say, for
    /// want of /proc.  Costs a few nanoseconds.  Callable from any green thread, a fiber and a callback of the hub; on an OS thread without a hub, it
    /// makes one.
    public static var stackLeft: Int { Hub.currentThread.stackLeft }

    /// Lets every other green thread that is ready run before this one goes on.
    ///
    /// For loops that run for long without a call that waits: nothing interrupts a green thread; see <doc:Fairness>.  Costs some ten nanoseconds if no
    /// other green thread is ready.  Throws when the caller is killed or an enclosing time limit is over.  Callable from any green thread.
    @available(*, noasync, message: "use Task.yield; or write `remote.run { }`, or on a hub `parking { }`")
    public static func yield() throws(WaitError) {
        let thread = Hub.currentThread
        thread.giveWay()
        try thread.throwIfInterrupted()
    }

    /// Waits for `duration`, never shorter and a little longer.  A duration of zero or less is a `yield()`.
    ///
    /// Throws when the caller is killed or an enclosing time limit is over.  Callable from any green thread.
    @available(*, noasync, message: "use Task.sleep; or write `remote.run { }`, or on a hub `parking { }`")
    public static func sleep(for duration: Duration) throws(WaitError) {
        guard duration > .zero else { return try yield() }
        try sleep(until: .after(duration))
    }

    /// Waits until `deadline`.  Throws when the caller is killed or an enclosing time limit is over.  Callable from any green thread.
    @available(*, noasync, message: "use Task.sleep; or write `remote.run { }`, or on a hub `parking { }`")
    public static func sleep(until deadline: Deadline) throws(WaitError) {
        let thread = Hub.currentThread
        let error = thread.error(after: thread.wait(for: .sleep, until: deadline))
        if let error, error != .deadlinePassed { throw error }
    }
}
