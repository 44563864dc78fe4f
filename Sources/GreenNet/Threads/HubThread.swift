import Synchronization

/// An OS thread with a hub that works for other OS threads and for tasks, until it is stopped.
///
///     let thread = try HubThread(name: "mail")
///     thread.remote.spawn { ... }
///     await thread.stop()
///
/// Its signals are blocked, so that those of the process go to other OS threads.  Where the last reference to it goes, the hub is stopped as by `stop`.
public final class HubThread: Sendable {
    /// By which other OS threads reach the hub.  After the end of the hub, its calls return false.
    public let remote: RemoteHub
    private let end: HubThreadEnd

    /// Starts an OS thread with a hub, and blocks the calling OS thread until the hub is there.
    ///
    /// - `name`: as `ps -L` and debuggers show it, cut after 15 bytes; without one it has its maker's.
    ///
    /// Throws where the system has no further OS thread, descriptor or memory.  Callable from any OS thread, in async code too.
    public init(name: String? = nil) throws(SystemError) {
        let (start, end) = (Start(), HubThreadEnd())
        try OSThread.start(named: name, stackSize: OSThread.smallStack, blocksSignals: true) {
            HubThread.run(start, end)
        }
        remote = try start.wait().get()
        self.end = end
    }

    deinit { remote.stopServing() }

    /// Asks the hub to stop, and waits until it has, or until `deadline`.  Returns whether it has.
    ///
    /// The hub kills its green threads and waits until they have unwound, as `Hub.close` does.  A wait that ends early leaves it so.  Throws when the calling green
    /// thread is killed or an enclosing time limit is over.  Callable from a green thread of any other hub; on an OS thread without a hub, it makes one.
    @available(*, noasync, message: "it parks a green thread; write `await stop()`")
    @discardableResult
    public func stop(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        remote.stopServing()
        return try join(until: deadline)
    }

    /// Waits until the hub has stopped, because `stop` was called, or until `deadline`.  Returns whether it has.
    ///
    /// Throws when the calling green thread is killed or an enclosing time limit is over.  Callable from a green thread of any other hub; on an OS thread
    /// without a hub, it makes one.
    @available(*, noasync, message: "it parks a green thread; write `await join()`")
    @discardableResult
    public func join(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        try end.result.wait(until: deadline)
    }

    /// Asks the hub to stop, and waits until it has: its green threads are killed, and have unwound.  Cancelling the task does not end the wait.
    public func stop() async {
        remote.stopServing()
        await join()
    }

    /// Waits until the hub has stopped, because `stop` was called.  Cancelling the task does not end the wait.
    public func join() async {
        await withUnsafeContinuation { end.resume($0) }
    }

    // MARK: On its own OS thread

    private static func run(_ start: Start, _ end: HubThreadEnd) {
        do throws(HubFailure) { try Hub.prepare(stacks: 0) } catch { return start.give(.failure(error.cause)) }
        start.give(.success(Hub.current.remote))
        // Nothing kills the main green thread, and it has no time limit.
        do { try Hub.current.serve() } catch { fatalError("GreenNet: a HubThread can't serve: \(error)") }
        Hub.current.close()
        end.set()
    }
}

/// The end of a hub, for which green threads and tasks wait.
private final class HubThreadEnd: Sendable {
    let result = RemoteResult<Void>()
    private let waiters = Mutex<[UnsafeContinuation<Void, Never>]>([])

    func set() {
        result.set(())
        resumeAll()
    }

    /// Resumes `waiter` once the end has come.
    func resume(_ waiter: UnsafeContinuation<Void, Never>) {
        waiters.withLock { $0.append(waiter) }
        if result.isSet { resumeAll() }
    }

    private func resumeAll() {
        let all = waiters.withLock { waiters in
            defer { waiters = [] }
            return waiters
        }
        for waiter in all { waiter.resume() }
    }
}

/// What the new OS thread answers to its maker, which blocks meanwhile: it may have no hub.
private final class Start: Sendable {
    private let answer = Mutex<Result<RemoteHub, SystemError>?>(nil)
    private let bell = BlockingBell()

    func give(_ result: Result<RemoteHub, SystemError>) {
        answer.withLock { $0 = result }
        bell.ring()
    }

    func wait() -> Result<RemoteHub, SystemError> {
        bell.wait()
        return answer.withLock { $0! }
    }
}
