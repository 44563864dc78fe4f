internal import CSwitch
import Glibc

/// Whether a green thread can run.
enum GreenState: UInt8 {
    case ready, running, parked, ended
}

/// A green thread: the address of its record, which lies at the top of the green thread's own stack.
///
/// Raw memory that never moves: so no access to a class property is open while a stack is left, and a switch retains nothing.  `CSwitch.h` draws
/// the record's layout and says which fields share a cache line.  Only this file reads and writes the fields; `Context`, `Frames` and `StackPool`
/// hand the address on.  All of it belongs to the OS thread of the hub.
struct GreenThread: Equatable {
    let record: UnsafeMutablePointer<green_thread>

    @inline(__always)
    init(_ record: UnsafeMutablePointer<green_thread>) { self.record = record }

    /// As the first frame is given it.
    @inline(__always)
    init(_ argument: UnsafeMutableRawPointer) { record = argument.assumingMemoryBound(to: green_thread.self) }

    /// In whole cache lines: the one below another would begin within a line else.
    static let recordSize = (MemoryLayout<green_thread>.size + 63) / 64 * 64

    /// A new record at `memory`.
    init(at memory: UnsafeMutableRawPointer) {
        record = memory.initializeMemory(as: green_thread.self, to: green_thread())
    }

    // MARK: Identity

    var scheduler: Scheduler {
        // Each record has one, from `Scheduler.add` on; a check would be in every wait, several times.
        @inline(__always) get { Scheduler(record.pointee.scheduler.unsafelyUnwrapped) }
        nonmutating set { record.pointee.scheduler = newValue.address }
    }

    /// Counts up from 1 within the hub.
    var id: UInt64 {
        get { record.pointee.id }
        nonmutating set { record.pointee.id = newValue }
    }

    var name: String? { record.pointee.name.map { String(cString: $0) } }

    func keepName(_ name: String) { record.pointee.name = strdup(name) }
    func freeName() { free(record.pointee.name) }

    /// As errors name it.
    var title: String { "green thread \(id)" + (name.map { " (\($0))" } ?? "") }

    /// The layer above's object, which this record retains until the body has ended; null for the scheduler's own.
    var body: UnsafeMutableRawPointer! {
        get { record.pointee.body }
        nonmutating set { record.pointee.body = newValue }
    }

    // MARK: State

    var state: GreenState {
        get { GreenState(rawValue: record.pointee.state)! }
        nonmutating set { record.pointee.state = newValue.rawValue }
    }

    /// The body has begun.
    var isStarted: Bool { record.pointee.flags & UInt8(GREEN_STARTED) != 0 }
    func setStarted() { record.pointee.flags |= UInt8(GREEN_STARTED) }

    /// It was left with words of Swift's concurrency runtime, which are put in place when it goes on.
    @inline(__always)
    var holdsWords: Bool { record.pointee.flags & UInt8(GREEN_HOLDS_WORDS) != 0 }

    /// It begins with the task-locals of `storage`, which it owns.
    func begin(withTaskLocals storage: UnsafeMutableRawPointer) {
        record.pointee.words.locals = storage
        record.pointee.flags |= UInt8(GREEN_HOLDS_WORDS)
    }

    /// Operations done since the last wait, for fairness.
    var opsSinceWait: UInt16 {
        get { record.pointee.ops_since_wait }
        nonmutating set { record.pointee.ops_since_wait = newValue }
    }

    // MARK: Kills and time limits

    /// Every wait throws from now on.
    func setKilled() { record.pointee.cancelled = 1 }

    var isKilled: Bool { record.pointee.cancelled != 0 }

    /// How many `shielded` it is inside.
    var shields: UInt8 {
        get { record.pointee.shields }
        nonmutating set { record.pointee.shields = newValue }
    }

    /// Killed, and not inside `shielded`.
    var isCancelled: Bool { record.pointee.cancelled != 0 && record.pointee.shields == 0 }

    /// The innermost time limit that it runs under.
    var scope: TimeScope? {
        get { record.pointee.scopes.map(TimeScope.init) }
        nonmutating set { record.pointee.scopes = newValue?.address }
    }

    /// The earliest deadline of all the time limits that it runs under.
    var scopeDeadline: Deadline {
        get { Deadline(nanoseconds: record.pointee.scope_deadline) }
        nonmutating set { record.pointee.scope_deadline = newValue.nanoseconds }
    }

    // MARK: The wait under way, or the last one

    var waitKind: WaitKind {
        get { WaitKind(rawValue: record.pointee.wait_kind)! }
        nonmutating set { record.pointee.wait_kind = newValue.rawValue }
    }

    /// What `waitKind` says that it is: an id, a number or an address.
    var waitDetail: UInt64 {
        get { record.pointee.wait_detail }
        nonmutating set { record.pointee.wait_detail = newValue }
    }

    /// `waitDetail` where that is the address of an object.  An object with no size has no address either, and needs none.
    @inline(__always)
    func waitAddress<Object>(of: Object.Type) -> UnsafeMutablePointer<Object> {
        let size = MemoryLayout<Object>.size
        return UnsafeMutablePointer(
            bitPattern: size == 0 ? UInt(MemoryLayout<Object>.alignment) : UInt(waitDetail))!
    }

    /// When the pass of the loop began in which the wait did.
    var waitingSince: Deadline {
        get { Deadline(nanoseconds: record.pointee.waiting_since) }
        nonmutating set { record.pointee.waiting_since = newValue.nanoseconds }
    }

    /// Why it ended.
    var wakeReason: Wake {
        get { Wake(rawValue: record.pointee.wake)! }
        nonmutating set { record.pointee.wake = newValue.rawValue }
    }

    /// `.never` outside of a wait, too.
    var deadline: Deadline {
        get { Deadline(nanoseconds: record.pointee.deadline) }
        nonmutating set { record.pointee.deadline = newValue.nanoseconds }
    }

    /// Its place in the hub's `DeadlineQueue`, counted from 0; negative where it has none.
    var deadlineIndex: Int {
        get { record.pointee.deadline_place &- 1 }
        nonmutating set { record.pointee.deadline_place = newValue &+ 1 }
    }

    // MARK: Lists

    /// The wait queue that it is in.
    var queue: WaitQueue? {
        get { record.pointee.queue.map(WaitQueue.init) }
        nonmutating set { record.pointee.queue = newValue?.ends }
    }

    /// Behind it in the ready queue, in its wait queue, or among the free stacks: it is in one of them at a time.
    var next: GreenThread? {
        get { record.pointee.next.map(GreenThread.init) }
        nonmutating set { record.pointee.next = newValue?.record }
    }

    /// Before it in its wait queue.
    var previous: GreenThread? {
        get { record.pointee.previous.map(GreenThread.init) }
        nonmutating set { record.pointee.previous = newValue?.record }
    }

    /// Green threads that wait until it has ended.
    var joiners: WaitQueue { withUnsafeMutablePointer(to: &record.pointee.joiners) { WaitQueue($0) } }

    /// The green thread that was made before it, among all that have not ended.
    var older: GreenThread? {
        get { record.pointee.older.map(GreenThread.init) }
        nonmutating set { record.pointee.older = newValue?.record }
    }

    /// The green thread that was made after it, among all that have not ended.
    var younger: GreenThread? {
        get { record.pointee.younger.map(GreenThread.init) }
        nonmutating set { record.pointee.younger = newValue?.record }
    }

    // MARK: Its stack

    /// Where the guard begins; nil for an OS thread's own stack.
    var slot: UnsafeMutableRawPointer! {
        get { record.pointee.slot }
        nonmutating set { record.pointee.slot = newValue }
    }

    /// The lowest address that may be used.
    var stackLow: UnsafeMutableRawPointer! {
        get { record.pointee.stack_low }
        nonmutating set { record.pointee.stack_low = newValue }
    }

    /// One past the highest address that may be used.
    var stackHigh: UnsafeMutableRawPointer! {
        get { record.pointee.stack_high }
        nonmutating set { record.pointee.stack_high = newValue }
    }

    /// It has a stack of its own, of the size that most have.
    var hasUsualStack: Bool { slot != nil && stackClass == .usual }

    /// How large its stack is; not for an OS thread's own.
    var stackClass: StackClass { StackClass(recordAt: record.pointee.stack_high - record.pointee.slot) }

    /// How many bytes lie between the stack pointer and the lowest address that may be used; of the running green thread.  0 where the bounds of
    /// an OS thread's stack can't be had.
    var stackLeft: Int {
        if stackLow == nil, let stack = Context.osStack() { (stackLow, stackHigh) = stack }
        guard let stackLow else { return 0 }
        return max(0, Context.stackPointer - stackLow)
    }

    /// Where its innermost frame begins, while it is suspended.
    var stackPointer: UnsafeMutableRawPointer! { record.pointee.stack_pointer }
}
