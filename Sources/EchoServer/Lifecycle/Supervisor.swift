import Glibc
import GreenNet

/// Keeps a number of forked workers running: restarts those that die, and sees all of them to their end.
///
/// Stays on one OS thread, since it forks.
final class Supervisor {
    private let prepare: () -> Void
    private let work: (Int) -> Int32
    private let inheritance: Fork.Inheritance
    private let signals = SignalWatcher(SIGCHLD, SIGTERM, SIGINT, SIGUSR1, SIGHUP)
    private var workers: [Worker]
    private var isStopping = false
    private var timeIsOver = false
    /// Whether it has killed those that were left at the end.
    private(set) var hasKilled = false

    /// Told of a worker that has died, by its slot, of one that took its place, and that one could not be forked.
    var onDeath: (Int, pid_t, ChildStatus) -> Void = { _, _, _ in }
    var onRestart: (Int) -> Void = { _ in }
    var onForkFailure: (SystemError) -> Void = { _ in }
    /// Told of a worker that is about to be killed, and for how long it has not worked.
    var onStuck: (pid_t, Duration) -> Void = { _, _ in }
    /// Gives back what the worker in a slot held that has died.  False where there is more to do: it is called again soon, and the slot stays
    /// empty until then.
    var settle: (Int) -> Bool = { _ in true }
    /// Nil where workers that no longer work are left alone.
    var watch: WorkerWatch?
    var onStateRequest: () -> Void = {}
    var onReloadRequest: () -> Void = {}
    /// Asked, while it stops, for what is to be done in the place of a worker that has ended: returns the process that does it, or nil.
    var takePlace: (Int) -> pid_t? = { _ in nil }

    private struct Worker {
        var pid: pid_t?
        var hasDied = false
        /// Whether nothing is left of the one before.
        var isSettled = true
        var began = Deadline.now
        var backOff = BackOff()
        /// When the next attempt is due, while it has no process.
        var restart = Deadline.now
    }

    /// Of all the service's children.  The kernel's score of a process is its share of the memory in thousandths, and that of the parent can
    /// be a good 400 above a child's, in a control group of 20 MB: it maps the same, and has touched more of it.
    static let oomScoreRaise: Int32 = 500

    /// One that has lived so long was not broken from the start: it is restarted at once.
    private static let soundLife = Duration.seconds(1)
    /// What a death leaves behind is settled piece by piece, with as much time between for others.
    private static let settleInterval = Duration.milliseconds(1)

    /// `work` is what the child in each slot does, after `prepare`, which no signal interrupts; it ends with what that returns.
    init(
        count: Int, _ inheritance: Fork.Inheritance, prepare: @escaping () -> Void, work: @escaping (Int) -> Int32
    ) {
        (self.prepare, self.work) = (prepare, work)
        self.inheritance = inheritance
        workers = Array(repeating: Worker(), count: count)
    }

    // MARK: Running

    /// Starts the workers and keeps them running until TERM or INT, which is returned.
    func run(whenStarted: () -> Void) throws(WaitError) -> Int32 {
        attend()
        whenStarted()
        while true {
            if let signal = try nextSignal(until: nextDuty), signal == SIGTERM || signal == SIGINT { return signal }
            attend()
        }
    }

    /// Does what is due by now.
    private func attend() {
        for slot in workers.indices where !workers[slot].isSettled {
            workers[slot].isSettled = settle(slot)
        }
        killStuck()
        for slot in workers.indices where workers[slot].pid == nil && workers[slot].isSettled { fill(slot) }
    }

    private func fill(_ slot: Int) {
        if isStopping {
            if !timeIsOver { workers[slot].pid = takePlace(slot) }
        } else if workers[slot].restart <= .now {
            start(slot)
        }
    }

    private func killStuck() {
        guard let stuck = watch?.look(slotOfThread: { slot(ofThread: $0) }) else { return }
        for (slot, silence) in stuck {
            // One that has died otherwise is seen to already.
            guard let pid = workers[slot].pid else { continue }
            onStuck(pid, silence)
            kill(pid, SIGKILL)
        }
    }

    private func slot(ofThread thread: pid_t) -> Int? {
        workers.firstIndex { $0.pid.map { access("/proc/\($0)/task/\(thread)", F_OK) == 0 } ?? false }
    }

    /// When `attend` has something to do next.
    private var nextDuty: Deadline {
        var moments = watch.map { [$0.nextLook] } ?? []
        if workers.contains(where: { !$0.isSettled }) { moments.append(.after(Supervisor.settleInterval)) }
        if !isStopping { moments += workers.filter { $0.pid == nil && $0.isSettled }.map(\.restart) }
        return moments.min() ?? .never
    }

    private func start(_ slot: Int) {
        do {
            workers[slot].pid = try Fork.child(inheritance, prepare: prepare) { [work] in work(slot) }
            workers[slot].began = .now
            watch?.began(slot)
            if workers[slot].hasDied { onRestart(slot) }
        } catch {
            onForkFailure(error)
            workers[slot].restart = .after(workers[slot].backOff.next())
        }
    }

    /// Takes care of what other signals ask for; nil where `deadline` has passed.
    private func nextSignal(until deadline: Deadline) throws(WaitError) -> Int32? {
        do throws(WaitError) {
            let signal = try signals.wait(until: deadline)
            if signal == SIGCHLD { reap() }
            if signal == SIGUSR1 { onStateRequest() }
            if signal == SIGHUP { onReloadRequest() }
            return signal
        } catch {
            if error == .deadlinePassed { return nil }
            throw error
        }
    }

    private func reap() {
        for (pid, status) in ChildStatus.ended() {
            guard let slot = workers.firstIndex(where: { $0.pid == pid }) else { continue }
            workers[slot].pid = nil
            (workers[slot].hasDied, workers[slot].isSettled) = (true, false)
            onDeath(slot, pid, status)
            if .now - workers[slot].began >= Supervisor.soundLife { workers[slot].backOff.reset() }
            workers[slot].restart = isStopping ? .never : .after(workers[slot].backOff.next())
        }
    }

    // MARK: Stopping

    /// Sends TERM, calls `whenTold`, sends after `time` `finish` where workers understand it, and KILL to those that are still there then.
    /// Returns nil when all have ended, or the number of a second TERM or INT.
    func stop(within time: Duration, finish: Int32?, whenTold: () -> Void) throws(WaitError) -> Int32? {
        isStopping = true
        let start = Deadline.now
        // Those that are not told what to do then end by themselves, and have a little more time for it.
        let grace = StreamServer.grace * (finish == nil ? 2 : 1)
        let steps: [(Int32?, Deadline)] = [
            (SIGTERM, start + time), (finish, start + time + grace), (SIGKILL, .never),
        ]
        for (signal, deadline) in steps {
            (timeIsOver, hasKilled) = (signal != SIGTERM, signal == SIGKILL)
            if let signal { send(signal) }
            if signal == SIGTERM { whenTold() }
            attend()
            while workers.contains(where: { $0.pid != nil }) && !deadline.hasPassed {
                let received = try nextSignal(until: min(deadline, nextDuty))
                attend()
                if let received, received == SIGTERM || received == SIGINT { return received }
            }
        }
        return nil
    }

    func send(_ signal: Int32) { for worker in workers { if let pid = worker.pid { kill(pid, signal) } } }
}
