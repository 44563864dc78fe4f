import Glibc
import GreenNet

/// A place for one worker: the process that has it now, or when the next one gets it.
struct WorkerSlot {
    /// Nil while it is empty.
    private(set) var pid: pid_t?
    /// Whether a worker has died in this slot.
    private(set) var hasDied = false
    /// Whether the pool has as many workers that this slot is to have one.
    private(set) var isWanted: Bool
    /// Whether the worker was asked to end, and another one is to come at once.
    private var isReplaced = false
    /// Whether all that the last worker held was given back.
    var isSettled = true
    /// When the next attempt to start a worker is due, while the slot is empty; never where no other is to come.
    private(set) var nextStart = Deadline.now
    private var began = Deadline.now
    private var backOff = BackOff()

    /// A worker that has lived for this time was not broken from the start: the next one is started at once.
    private static let soundLife = Duration.seconds(1)

    init(isWanted: Bool = true) { self.isWanted = isWanted }

    var isFree: Bool { pid == nil && isSettled }

    /// The pool has become larger.
    mutating func want() { (isWanted, nextStart) = (true, .now) }

    /// The pool has become smaller: the worker was asked to end, and its end is no death.
    mutating func retire() { isWanted = false }

    /// Another worker is to come: the end of this one is no death.
    mutating func replace() { isReplaced = true }

    mutating func begin(_ worker: pid_t) { (pid, began) = (worker, .now) }

    mutating func startFailed() { nextStart = .after(backOff.next()) }

    /// The worker has died.  `isLast`: no other is to come.
    mutating func end(isLast: Bool) {
        (pid, hasDied, isSettled) = (nil, isWanted && !isReplaced, false)
        if isReplaced {
            isReplaced = false
            nextStart = isLast ? .never : .now
            return
        }
        if .now - began >= WorkerSlot.soundLife { backOff.reset() }
        nextStart = isLast || !isWanted ? .never : .after(backOff.next())
    }
}
