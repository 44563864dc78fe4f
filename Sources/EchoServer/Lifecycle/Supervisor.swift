import Glibc
import GreenNet

/// Keeps a number of forked workers running, one in each slot: replaces those that die, and stops all of them in the end.
///
/// Stays on one OS thread, since it forks.
final class Supervisor {
    private let prepare: () -> Void
    private let work: (Int) -> Int32
    private let signals = SignalWatcher(SIGCHLD, SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP)
    private var slots: [WorkerSlot]
    /// The step that is being taken, once it stops.
    private var step: StopSequence.Action?

    /// What the next worker of a slot inherits.
    var inherit: (Int) -> Fork.Inheritance = { _ in Fork.Inheritance() }
    /// The worker of a slot was started, or could not be.
    var onStart: (Int) -> Void = { _ in }
    /// A worker has died: its slot, its process, and how it ended.
    var onDeath: (Int, pid_t, ChildStatus) -> Void = { _, _, _ in }
    /// Another worker has taken the slot of one that died.
    var onRestart: (Int) -> Void = { _ in }
    var onForkFailure: (SystemError) -> Void = { _ in }
    /// The supervisor is about to kill this worker, which has been stuck for this time.
    var onStuck: (pid_t, Duration) -> Void = { _, _ in }
    /// Gives back what the worker of a slot held that has died.  Returns false where there is more to give back: it is called again soon, and
    /// the slot stays empty until then.
    var settle: (Int) -> Bool = { _ in true }
    /// Nil where a worker that is stuck is left alone.
    var watch: WorkerWatch?
    var onStateRequest: () -> Void = {}
    var onReloadRequest: () -> Void = {}
    var onUpgradeRequest: () -> Void = {}
    /// Called for each slot that is empty: starts a process that does what is left to do, and returns it; nil where
    /// there is nothing.
    var takePlace: (Int) -> pid_t? = { _ in nil }
    /// Nil where the number of workers stays the same.
    var growth: PoolGrowth?
    /// Whether the worker in this slot has a client.
    var isBusy: (Int) -> Bool = { _ in true }
    /// The number of workers is another one now: that number, and by how many it is larger than before.
    var onChange: (Int, Int) -> Void = { _, _ in }

    /// By how much the oom_score_adj of all children is above that of the parent.  The kernel's score of a process is its share of the memory in
    /// thousandths.  In a control group of 20 MB the parent's can be 400 above a child's: it maps the same, and has touched more of it.
    static let oomScoreRaise: Int32 = 500
    /// Between two pieces of what a death leaves behind, others have as much time.
    private static let settleInterval = Duration.milliseconds(1)

    /// The child in each slot calls `prepare`, which no signal interrupts, then `work` with its slot, and ends with the exit status that `work`
    /// returns.  There are `count` slots, of which the first `beginning` get a worker at the start: all, where it is nil.
    init(
        count: Int, beginning: Int? = nil, prepare: @escaping () -> Void, work: @escaping (Int) -> Int32
    ) {
        (self.prepare, self.work) = (prepare, work)
        slots = (0..<count).map { WorkerSlot(isWanted: $0 < beginning ?? count) }
    }

    /// Whether it has killed the workers that were left at the end.
    var hasKilled: Bool { step == .kill }

    /// Has the worker of a slot end when its clients are done, and another one take its place.
    func replace(_ slot: Int) {
        guard let pid = slots[slot].pid else { return }
        slots[slot].replace()
        kill(pid, SIGTERM)
    }

    func replaceAll() { for slot in slots.indices { replace(slot) } }

    func send(_ signal: Int32) { for slot in slots { if let pid = slot.pid { kill(pid, signal) } } }

    // MARK: Running

    /// Starts the workers and keeps them running until TERM or INT, which it returns.
    func run(whenStarted: () -> Void) throws(WaitError) -> Int32 {
        attend()
        whenStarted()
        while true { if let signal = try run(until: .never) { return signal } }
    }

    /// Keeps the workers running until TERM or INT, which it returns, or until `deadline`: nil then.
    func run(until deadline: Deadline) throws(WaitError) -> Int32? {
        repeat {
            if let signal = try nextSignal(until: min(deadline, nextAttention)), isStop(signal) { return signal }
            attend()
        } while !deadline.hasPassed
        return nil
    }

    private func isStop(_ signal: Int32) -> Bool { signal == SIGTERM || signal == SIGINT }

    /// Does what is due by now.
    private func attend() {
        for slot in slots.indices where !slots[slot].isSettled { slots[slot].isSettled = settle(slot) }
        killStuck()
        changeSize()
        for slot in slots.indices where slots[slot].isFree { fill(slot) }
    }

    /// Workers that are asked to end finish with the client that one of them may have got meanwhile.
    private func changeSize() {
        guard step == nil, growth != nil else { return }
        let running = slots.indices.filter { slots[$0].isWanted }
        let wanted = growth!.look(running: running.count, busy: running.count { slots[$0].pid != nil && isBusy($0) })
        if wanted == running.count { return }
        let unwanted = slots.indices.filter { !slots[$0].isWanted && slots[$0].isFree }
        for slot in unwanted.prefix(max(0, wanted - running.count)) { slots[slot].want() }
        let idle = running.reversed().filter { slots[$0].pid != nil && !isBusy($0) }
        for slot in idle.prefix(max(0, running.count - wanted)) {
            slots[slot].retire()
            kill(slots[slot].pid!, SIGTERM)
        }
        let now = slots.count { $0.isWanted }
        if now != running.count { onChange(now, now - running.count) }
    }

    /// When `attend` has something to do next.
    private var nextAttention: Deadline {
        var moments = watch.map { [$0.nextLook] } ?? []
        if slots.contains(where: { !$0.isSettled }) { moments.append(.after(Supervisor.settleInterval)) }
        if step == nil { moments += slots.filter { $0.isFree && $0.isWanted }.map(\.nextStart) }
        if step == nil, let growth { moments.append(growth.nextLook) }
        return moments.min() ?? .never
    }

    /// Waits for a signal, and does what it asks for where it does not ask to stop.  Returns nil where `deadline` has passed.
    private func nextSignal(until deadline: Deadline) throws(WaitError) -> Int32? {
        do throws(WaitError) {
            let signal = try signals.wait(until: deadline)
            switch signal {
            case SIGCHLD: reap()
            case SIGUSR1: onStateRequest()
            case SIGUSR2: onUpgradeRequest()
            case SIGHUP: onReloadRequest()
            default: break
            }
            return signal
        } catch {
            if error == .deadlinePassed { return nil }
            throw error
        }
    }

    // MARK: Workers

    private func fill(_ slot: Int) {
        switch step {
        case nil: if slots[slot].isWanted, slots[slot].nextStart <= .now { startNext(slot) }
        case .drain: if let pid = takePlace(slot) { slots[slot].begin(pid) }
        case .finish, .kill: break
        }
    }

    /// Clients that were accepted by this process come first.
    private func startNext(_ slot: Int) {
        guard let pid = takePlace(slot) else { return start(slot) }
        slots[slot].begin(pid)
        slots[slot].replace()
    }

    private func start(_ slot: Int) {
        defer { onStart(slot) }
        do throws(SystemError) {
            let pid = try Fork.child(inherit(slot), prepare: prepare) { [work] in
                // For the lock of the limits, before the worker serves: it opens a file.
                SharedGate.prepareProcess()
                return work(slot)
            }
            slots[slot].begin(pid)
            watch?.began(slot)
            if slots[slot].hasDied { onRestart(slot) }
        } catch {
            onForkFailure(error)
            slots[slot].startFailed()
        }
    }

    private func reap() {
        for (pid, status) in ChildStatus.ended() {
            guard let slot = slots.firstIndex(where: { $0.pid == pid }) else { continue }
            slots[slot].end(isLast: step != nil)
            onDeath(slot, pid, status)
        }
    }

    private func killStuck() {
        guard let stuck = watch?.look(slotOfProcess: { pid in slots.firstIndex { $0.pid == pid } }) else { return }
        for (slot, silence) in stuck {
            // A worker that has died otherwise was replaced already, or will be.
            guard let pid = slots[slot].pid else { continue }
            onStuck(pid, silence)
            kill(pid, SIGKILL)
        }
    }

    // MARK: Stopping

    /// Takes the steps of `sequence` until all workers have ended.  Calls `whenDraining` when the workers have been asked to drain.
    /// Returns nil when all have ended, or the number of a second TERM or INT as soon as that comes.
    func stop(_ sequence: StopSequence, whenDraining: () -> Void) throws(WaitError) -> Int32? {
        for next in sequence.steps {
            step = next.action
            let deadline = next.time.map { Deadline.after($0) } ?? .never
            if let signal = next.signal { send(signal) }
            if next.action == .drain { whenDraining() }
            attend()
            while slots.contains(where: { $0.pid != nil }) && !deadline.hasPassed {
                let received = try nextSignal(until: min(deadline, nextAttention))
                attend()
                if let received, isStop(received) { return received }
            }
        }
        return nil
    }
}
