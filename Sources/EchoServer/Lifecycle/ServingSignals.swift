import Glibc
import GreenNet

/// The signals that a parent sends to a child that blocks in `recv` or `send`.  A handler shuts the socket down, so that the blocked call
/// returns.
enum ServingSignals {
    /// Answer what has been received, and end: at once where nothing is being served, and at the latest when the alarm rings.
    static let finish = SIGQUIT

    // Unsafe, but on one OS thread: written outside the handlers only while the signals are blocked, or before the handlers are installed.
    nonisolated(unsafe) static var serving: Int32 = -1
    nonisolated(unsafe) private static var listening = UnsafeMutableBufferPointer<Int32>(start: nil, count: 0)
    nonisolated(unsafe) private(set) static var shouldStop = false
    nonisolated(unsafe) private static var timeToDrain = itimerval()
    nonisolated(unsafe) private static var isDraining = false
    /// What the parent has asked of the connection that is being served.
    nonisolated(unsafe) private(set) static var request: ConnectionService.Request?

    /// For a child that has one client, and lets the client finish when the parent gets TERM.
    static func install(serving descriptor: Int32) {
        serving = descriptor
        handle(finish, finishHandler)
        signal(SIGTERM, SIG_IGN)
        leaveTheRestToTheParent()
    }

    /// A Ctrl-C, say, reaches all processes of a terminal; the parent decides what it means.
    private static func leaveTheRestToTheParent() {
        for number in [SIGINT, SIGHUP, SIGUSR1, SIGUSR2] { signal(number, SIG_IGN) }
    }

    /// For a process without a parent of the service, with one client: TERM and INT give the client `time` to finish, and then ask it to.
    static func installForOnlyClient(_ descriptor: Int32, within time: Duration) {
        serving = descriptor
        let microseconds = max(1, time.nanoseconds / 1000)
        timeToDrain.it_value = timeval(
            tv_sec: time_t(microseconds / 1_000_000), tv_usec: suseconds_t(microseconds % 1_000_000))
        handle(finish, finishHandler)
        handle(SIGALRM, alarmHandler)
        handle(SIGTERM, drainHandler)
        handle(SIGINT, drainHandler)
        for number in [SIGHUP, SIGUSR1, SIGUSR2] { signal(number, SIG_IGN) }
    }

    /// For a worker that serves one client after the other: after TERM it accepts no further client.
    static func installForWorker(listening descriptors: [Int32]) {
        // Raw memory, for the handler; it lasts as long as the process.
        listening = .allocate(capacity: descriptors.count)
        _ = listening.initialize(from: descriptors)
        handle(finish, finishHandler)
        handle(SIGTERM, stopHandler)
        leaveTheRestToTheParent()
    }

    /// To be called before the worker waits for its first client.
    static func beginWork() { setBlocked(true) }

    /// Runs `body`.  The handlers run only meanwhile, and while the worker waits for a client.
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

    /// Rings first when the drain timeout has passed, and again where the client does not read its answers.
    private static let alarmHandler: @convention(c) (Int32) -> Void = { _ in
        if ServingSignals.shouldStop { _exit(0) }
        ServingSignals.finishHandler(finish)
    }

    private static let stopHandler: @convention(c) (Int32) -> Void = { _ in
        ServingSignals.shouldStop = true
        // A worker that serves a client would go on listening until that is done.
        guard ServingSignals.serving >= 0 else { return }
        for descriptor in ServingSignals.listening { _ = close(descriptor) }
        // Other files may have the numbers when the signal comes again.
        ServingSignals.listening = UnsafeMutableBufferPointer(start: nil, count: 0)
    }
}
