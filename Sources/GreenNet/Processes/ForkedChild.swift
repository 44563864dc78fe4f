import Glibc

/// A function that runs in a child process of its own, a copy of this one.
///
/// The child begins with a copy of all memory, and what it changes there its parent does not see.  It ends with what `body` returns, without running any exit
/// handler; an error of `body` is written to standard error, and the status is 1 then.
///
///     let child = try ForkedChild { compute(); return 0 }
///     try child.wait(until: .after(.seconds(10)))
///
/// - **Its end.** The child lives no longer than this object, and no longer than its parent: the kernel sends it SIGKILL when the parent ends, however that ends.
/// - **Descriptors.** It has the three standard ones and those that `keeping` names.
/// - **Green threads.** None of the parent's runs in it, and its hub is a new one, which the first call that needs it makes.  Its stack is that of the caller.
/// - **OS threads.** A process with more than one does not fork: what the others hold locked would stay locked in the child.  Idle ones of offload pools are
///   ended first.  To run a program beside this one from any process, use `withChild`; `ProcessPool(limit:callsPerWorker:frameLimit:running:)` runs functions.
///
/// Belongs to the OS thread that made it.
public final class ForkedChild: Waitable {
    private let end: ChildEnd

    /// Starts a child that runs `body`, and returns without waiting for it.  Standard input, output and error are shared; what stdio holds of output is written
    /// before, which may block.  Callable from any green thread; never parks.
    ///
    /// - `descriptors`: open descriptors that the child keeps under their numbers.
    /// - `endsGroup`: the child has a process group of its own, and what it has started in that group is killed when the child's end is collected.
    ///
    /// Throws `ForkError` where the process has several OS threads, or the system can't make a process.  `body` returns 0 to 255; another number stops the child.
    public init(
        keeping descriptors: [Int32] = [], endsGroup: Bool = false, _ body: () throws -> Int32
    ) throws(ForkError) {
        for number in descriptors { require(fcntl(number, F_GETFD) >= 0, "descriptor \(number) is not open") }
        let inheritance = Fork.Inheritance(descriptors: descriptors, hasOwnGroup: endsGroup)
        end = try ForkedChild.start(inheritance) { ForkedChild.status(of: body) }
    }

    static func start(
        _ inheritance: Fork.Inheritance, _ body: () -> Int32
    ) throws(ForkError) -> ChildEnd {
        try refuseThreads()
        // Else the child would write what it has a copy of.
        fflush(nil)
        do throws(SystemError) {
            let pid = try Fork.child(inheritance) {
                let status = body()
                fflush(nil)
                return status
            }
            return try ChildEnd(pid, hasOwnGroup: inheritance.hasOwnGroup)
        } catch {
            throw .system(error)
        }
    }

    private static func refuseThreads() throws(ForkError) {
        let own = ProcessThreads.countAtStart
        // An OS thread whose call has returned takes a moment to be idle, and one that has ended to be gone.
        for _ in 0..<20 {
            OffloadPool.endIdleThreads()
            if ProcessThreads.count <= own { return }
            poll(nil, 0, 1)
        }
        throw .severalThreads(ProcessThreads.count)
    }

    private static func status(of body: () throws -> Int32) -> Int32 {
        do {
            let status = try body()
            require((0...255).contains(status), "an exit status of \(status): it takes 0 to 255")
            return status
        } catch {
            writeToStandardError("GreenNet: forked child \(getpid()) failed: \(error)\n")
            return 1
        }
    }

    /// Its number, as the kernel has it.
    public var pid: Int32 { end.pid }
    /// Whether it has a process group of its own, which ends with it.
    public var endsGroup: Bool { end.hasOwnGroup }

    /// Whether it has not ended, as the kernel has it now.  Never waits.
    public var isAlive: Bool { exit == nil }

    /// How it has ended; nil while it runs.  Never waits.
    public var exit: ChildProcess.Exit? { end.look() ? end.exit : nil }

    /// Ready once it has ended.
    public var waitSource: WaitSource {
        end.awaitEnd()
        return WaitSource(end)
    }

    /// Waits until it has ended and says how; at once, where it has.  Several green threads may wait.
    ///
    /// Throws `WaitError.deadlinePassed` where it runs on at `deadline`, and `WaitError` when the caller is killed or an enclosing time limit is over; the
    /// child runs on then.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func wait(until deadline: Deadline = .never) throws(WaitError) -> ChildProcess.Exit {
        try end.wait(until: deadline)
    }

    /// Sends it `signal`, and where it `endsGroup` all of its group; to no process once its end was noticed.  Never waits.
    public func send(_ signal: Int32) { end.send(signal) }

    /// Asks it to end, by SIGTERM, which it may catch.  It is alive until it has ended: `wait` says when.  Never waits.
    public func terminate() { send(SIGTERM) }

    /// Ends it, by SIGKILL, which it can't catch.  Never waits.
    public func kill() { send(SIGKILL) }
}

@available(*, unavailable)
extension ForkedChild: Sendable {}

/// Why a process could not be forked.
public enum ForkError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The process has this number of OS threads, and a child would have one of them, with all that the others hold locked.
    case severalThreads(Int)
    /// The system can't make a process, or has no descriptor left for it.
    case system(SystemError)

    /// As in `cannot fork a process that has 3 OS threads: …`.
    public var description: String {
        switch self {
        case .severalThreads(let count):
            "cannot fork a process that has \(count) OS threads: the child would have one of them, with all that the others hold locked"
        case .system(let errno): "cannot start a process: \(errno)"
        }
    }
}
