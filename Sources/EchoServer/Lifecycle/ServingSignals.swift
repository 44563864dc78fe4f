import Glibc
import GreenNet

/// The signals by which a parent speaks to a child that blocks in `recv` or `send`.  Their handlers do what only they can do there: shut the
/// socket down, so that the blocked call returns.
enum ServingSignals {
    /// Answer what has been received, and end: at once where nothing is being served, and at the latest when the alarm rings.
    static let finish = SIGQUIT

    // Written outside the handlers only while these are blocked, or before they are installed.  One OS thread.
    nonisolated(unsafe) static var serving: Int32 = -1
    nonisolated(unsafe) private static var listening = UnsafeMutableBufferPointer<Int32>(start: nil, count: 0)
    nonisolated(unsafe) private(set) static var shouldStop = false
    nonisolated(unsafe) private static var timeToDrain = itimerval()
    nonisolated(unsafe) private static var isDraining = false
    /// What was asked of the connection that is being served.
    nonisolated(unsafe) private(set) static var request: ConnectionService.Request?

    /// For a child that has one client, and lets it finish whatever the parent was told.
    static func install(serving descriptor: Int32) {
        serving = descriptor
        handle(finish, finishHandler)
        signal(SIGTERM, SIG_IGN)
        leaveTheRestToTheParent()
    }

    /// A Ctrl-C, say, reaches all of a terminal's processes; the parent says what it means.
    private static func leaveTheRestToTheParent() {
        for number in [SIGINT, SIGHUP, SIGUSR1] { signal(number, SIG_IGN) }
    }

    /// For a process that nobody looks after, with one client: TERM and INT give that `time` to be done, and then mean the same.
    static func installForOnlyClient(_ descriptor: Int32, within time: Duration) {
        serving = descriptor
        let microseconds = max(1, time.nanoseconds / 1000)
        timeToDrain.it_value = timeval(
            tv_sec: time_t(microseconds / 1_000_000), tv_usec: suseconds_t(microseconds % 1_000_000))
        handle(finish, finishHandler)
        handle(SIGALRM, alarmHandler)
        handle(SIGTERM, drainHandler)
        handle(SIGINT, drainHandler)
        signal(SIGHUP, SIG_IGN)
        signal(SIGUSR1, SIG_IGN)
    }

    /// For a worker that serves one client after the other: TERM means no further one.
    static func installForWorker(listening descriptors: [Int32]) {
        // Raw memory, for the handler's sake; it lasts as long as the process.
        listening = .allocate(capacity: descriptors.count)
        _ = listening.initialize(from: descriptors)
        handle(finish, finishHandler)
        handle(SIGTERM, stopHandler)
        leaveTheRestToTheParent()
    }

    /// Before it waits for its first client.
    static func beginWork() { setBlocked(true) }

    /// The handlers can run only inside, and while the worker waits for a client.
    static func whileServing<Value>(_ descriptor: Int32, _ body: () -> Value) -> Value {
        serving = descriptor
        setBlocked(false)
        defer {
            setBlocked(true)
            serving = -1
        }
        return body()
    }

    private static func setBlocked(_ isBlocked: Bool) {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        sigaddset(&signals, finish)
        pthread_sigmask(isBlocked ? SIG_BLOCK : SIG_UNBLOCK, &signals, nil)
    }

    private static func handle(_ number: Int32, _ handler: @escaping @convention(c) (Int32) -> Void) {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = handler
        sigaction(number, &action, nil)
    }

    private static let finishHandler: @convention(c) (Int32) -> Void = { _ in
        ServingSignals.shouldStop = true
        ServingSignals.request = .finishReceiving
        if ServingSignals.serving >= 0 { _ = shutdown(ServingSignals.serving, Int32(SHUT_RD)) }
        alarm(StopSequence.secondsUntilChildEndsItself)
    }

    private static let drainHandler: @convention(c) (Int32) -> Void = { signal in
        if ServingSignals.isDraining { _exit(128 + signal) }
        ServingSignals.isDraining = true
        setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &ServingSignals.timeToDrain, nil)
    }

    /// The first time the drain timeout has passed, the second time the client does not read.
    private static let alarmHandler: @convention(c) (Int32) -> Void = { _ in
        if ServingSignals.shouldStop { _exit(0) }
        ServingSignals.finishHandler(finish)
    }

    private static let stopHandler: @convention(c) (Int32) -> Void = { _ in
        ServingSignals.shouldStop = true
        // Busy with a client, it would go on listening until that one is done.
        guard ServingSignals.serving >= 0 else { return }
        for descriptor in ServingSignals.listening { _ = close(descriptor) }
        // The numbers may be others' by the time it comes again.
        ServingSignals.listening = UnsafeMutableBufferPointer(start: nil, count: 0)
    }
}
