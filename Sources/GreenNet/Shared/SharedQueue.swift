import Synchronization

/// A bounded queue in shared memory, into which the green threads of some processes put elements and those of others take them, first in, first out.
///
/// The elements are values without references, or frames of bytes.  Made before a fork, it is the same queue in the parent and the child; another program joins
/// it by `descriptor`.  Any number of processes put and take.  A process that is killed at any moment leaves it usable: what it was putting is in the queue as
/// a whole or not at all, and what it had taken and not done counts in `lostTasks`.
///
/// A wait parks the green thread, and on an OS thread without a hub blocks that.  One that is woken competes with those that come at that moment.  A call
/// that does not have to wait makes no system call, and lets no other green thread run.  See <doc:BetweenProcesses>.
public final class SharedQueue<Element: Sendable>: Sendable {
    private let place: SharedPlace
    private let coder: SharedCoder<Element>
    let takers: SharedTakers
    /// How many elements fit.
    public let limit: Int
    /// How many bytes an element can have.
    let longest: Int

    // MARK: The memory

    private static func slot(_ element: Int) -> Int { 8 + (element + 7) / 8 * 8 }
    private static var headBytes: Int { 64 }
    private static func bytes(_ content: SharedRegion.Content) -> Int {
        headBytes + SharedTakers.bytes + content.count * slot(content.element)
    }

    fileprivate init(
        _ kind: SharedRegion.Content.Kind, limit: Int, longest: Int, _ coder: SharedCoder<Element>
    ) throws(SharedMemoryError) {
        let most = min(1 << 24, (64 << 30) / Self.slot(longest))
        require(
            limit >= 1 && limit <= most,
            "a shared queue for \(limit) elements; 1 to \(most) of \(longest) bytes are possible")
        let content = SharedRegion.Content(kind: kind, count: limit, element: longest)
        place = try SharedPlace(content, lines: Line.count, bytes: Self.bytes(content))
        (self.coder, self.limit, self.longest) = (coder, limit, longest)
        takers = SharedTakers(at: place.body[Self.headBytes / 8])
    }

    fileprivate init(
        joining descriptor: Int32, _ kind: SharedRegion.Content.Kind, _ coder: SharedCoder<Element>
    ) throws(SharedMemoryError) {
        place = try SharedPlace(joining: descriptor, kind, lines: Line.count, bytes: Self.bytes)
        (self.coder, limit, longest) = (coder, place.region.content.count, place.region.content.element)
        takers = SharedTakers(at: place.body[Self.headBytes / 8])
    }

    fileprivate func expect(elements bytes: Int) throws(SharedMemoryError) { try place.region.expect(elements: bytes) }

    /// What another program needs to join; nil in a forked child, which has the queue without it.
    public var descriptor: Int32? { place.region.descriptor }

    /// How many elements were put, taken, done or lost, and lost, since the beginning; and whether the queue is shut down.
    private var put: SharedWord { place.body }
    private var taken: SharedWord { place.body[1] }
    private var finished: SharedWord { place.body[2] }
    private var lost: SharedWord { place.body[3] }
    private var shut: SharedWord { place.body[4] }

    private func slot(_ number: UInt64) -> UnsafeMutableRawPointer {
        let slots = UnsafeMutableRawPointer(place.body.atomic) + Self.headBytes + SharedTakers.bytes
        return slots + Int(number % UInt64(limit)) * Self.slot(longest)
    }

    // MARK: Counts

    /// How many elements are in the queue at this moment.  Never waits, as none of these does.
    public var count: Int { place.locked { Int(put.value - taken.value) } }
    /// Whether no element is in the queue.
    public var isEmpty: Bool { count == 0 }
    /// Whether no further element fits.
    public var isFull: Bool { count == limit }
    /// Whether `shutDown` was called: no element can be put any more.
    public var isShutDown: Bool { shut.value != 0 }
    /// How many elements were put for which `taskDone()` was not called, and which are not lost.
    public var unfinishedTasks: Int { place.locked { Int(put.value - finished.value) } }
    /// How many elements were lost since the beginning: taken by processes that have ended before they called `taskDone()`.  Noticed while one waits in `joinTasks`, and
    /// by this call.
    public var lostTasks: Int {
        settleDeaths()
        return Int(lost.value)
    }

    // MARK: Putting

    /// Puts `element` in; while the queue is full, waits for room until `deadline`.
    ///
    /// Throws `WaitError.closed` where the queue is shut down, `.deadlinePassed` where there was no room by `deadline`, and when the caller is killed or an
    /// enclosing time limit is over; `element` was not put then.  A frame that is longer than the queue's stops the program.  Callable from any green thread, and
    /// from an OS thread without a hub, which it blocks.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func put(_ element: Element, until deadline: Deadline = .never) throws(WaitError) {
        check(element)
        switch place.locked({ putNow(element) }) {
        case .done(true): return
        case .done(false): throw .closed
        case .wait: break
        }
        let isPut = try place.wait(in: place.lines[Line.putters], until: deadline) { putNow(element) }
        if !isPut { throw .closed }
    }

    /// Puts `element` in if there is room; returns whether it did.  Never waits.
    ///
    /// Throws `WaitError.closed` where the queue is shut down.
    public func tryPut(_ element: Element) throws(WaitError) -> Bool {
        check(element)
        switch place.locked({ putNow(element) }) {
        case .done(true): return true
        case .done(false): throw .closed
        case .wait: return false
        }
    }

    private func check(_ element: Element) {
        let size = coder.size(element)
        require(size <= longest, "a frame of \(size) bytes in a shared queue for frames of up to \(longest)")
    }

    /// Under the gate.  Done with whether it was put; false where the queue is shut down.
    private func putNow(_ element: Element) -> SharedPlace.Look<Bool> {
        if isShutDown { return .done(false) }
        let number = put.value
        if number - taken.value >= limit { return .wait }
        let slot = slot(number)
        slot.storeBytes(of: coder.size(element), as: Int.self)
        coder.write(element, slot + 8)
        place.lines[Line.takers].ringFirst()
        // From here on it is in the queue.
        put.value = number + 1
        return .done(true)
    }

    // MARK: Taking

    /// Takes the next element; while the queue is empty, waits for one until `deadline`.
    ///
    /// Throws `WaitError.closed` where the queue is shut down and empty, `.deadlinePassed` where no element came by `deadline`, and when the caller is killed or
    /// an enclosing time limit is over; nothing was taken then.  Callable from any green thread, and from an OS thread without a hub, which it blocks.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func take(until deadline: Deadline = .never) throws(WaitError) -> Element {
        guard let element = try next(until: deadline) else { throw .closed }
        return element
    }

    /// As `take`, but returns nil where the queue is shut down and empty: `while let element = try queue.next()`.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func next(until deadline: Deadline = .never) throws(WaitError) -> Element? {
        if takers.needsRoom { settleDeaths() }
        if case .done(let element) = place.locked({ takeNow() }) { return element }
        return try place.wait(in: place.lines[Line.takers], until: deadline) { takeNow() }
    }

    /// Takes the next element; returns nil where the queue is empty.  Never waits.
    public func tryTake() -> Element? {
        if takers.needsRoom { settleDeaths() }
        guard case .done(let element) = place.locked({ takeNow() }) else { return nil }
        return element
    }

    /// Under the gate.  Done with nil where the queue is shut down and empty.
    private func takeNow() -> SharedPlace.Look<Element?> {
        let number = taken.value
        if number == put.value { return isShutDown ? .done(nil) : .wait }
        let slot = slot(number)
        let element = coder.read(slot + 8, slot.load(as: Int.self))
        place.lines[Line.putters].ringFirst()
        let own = takers.own
        place.journal.set(own, to: own.value + 1)
        place.journal.set(taken, to: number + 1)
        // From here on it is this process's.
        place.journal.commit()
        return .done(element)
    }

    // MARK: Tasks

    /// Marks the work on one element as done, which this process has taken.  To be called once for each; a further call stops the program.  Never waits.
    public func taskDone() {
        let isDone = place.locked {
            guard let own = takers.ownWithTasks else { return false }
            finish(1, of: own)
            place.journal.commit()
            return true
        }
        require(isDone, "taskDone() was called for more elements than this process has taken")
    }

    /// Under the gate; a commit follows.
    private func finish(_ count: UInt64, of tasks: SharedWord?) {
        if let tasks { place.journal.set(tasks, to: tasks.value - count) }
        place.journal.set(finished, to: finished.value + count)
        if finished.value == put.value { place.lines[Line.joiners].ringAll() }
    }

    /// Waits until the work on all elements is done, or lost with the processes that have taken them, at most until `deadline`.  Returns whether it is.
    ///
    /// `lostTasks` says how many were lost.  The death of a process is noticed after 10 ms to 1 s.  Throws when the caller is killed or an enclosing time limit is
    /// over.  Callable from any green thread, and from an OS thread without a hub, which it blocks.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func joinTasks(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        if unfinishedTasks == 0 { return true }
        do throws(WaitError) {
            try place.wait(in: place.lines[Line.joiners], until: deadline, settle: { settleDeaths() }) {
                finished.value == put.value ? .done(()) : .wait
            }
            return true
        } catch {
            guard error == .deadlinePassed else { throw error }
            return false
        }
    }

    /// Counts what processes have taken that have ended.
    private func settleDeaths() {
        let dead = place.locked { takers.processes }.filter { !$0.isAlive }
        for process in dead {
            place.locked {
                guard let tasks = takers.tasks(of: process), tasks.value > 0 else { return }
                let count = tasks.value
                place.journal.set(lost, to: lost.value + count)
                finish(count, of: tasks)
                place.journal.commit()
            }
        }
    }

    // MARK: The end

    /// Shuts the queue down for all processes: no element can be put any more, and each `put` that waits throws `WaitError.closed`.  Never waits.
    ///
    /// The elements that are in the queue can still be taken; with `atOnce`, they are dropped, and count as done.  Once the queue is empty, `take` throws
    /// `WaitError.closed`, too.
    public func shutDown(atOnce: Bool = false) {
        place.locked {
            place.lines[Line.putters].ringAll()
            place.lines[Line.takers].ringAll()
            place.journal.set(shut, to: 1)
            if atOnce {
                let count = put.value - taken.value
                place.journal.set(taken, to: put.value)
                finish(count, of: nil)
            }
            place.journal.commit()
        }
    }
}

extension SharedQueue where Element: BitwiseCopyable {
    /// A queue of values without references, for `limit` of them, 1 to 16,777,216 and at most 64 GiB.  The memory is taken as it is used.
    ///
    /// Throws where the kernel gives no memory.
    public convenience init(limit: Int) throws(SharedMemoryError) {
        try self.init(.values, limit: limit, longest: MemoryLayout<Element>.size, .plain)
    }

    /// The queue behind `descriptor`, which another process has made, and which stays the caller's to close.
    ///
    /// Throws where there is none behind it, or one with values of another size.  The type itself is not checked.
    public convenience init(joining descriptor: Int32) throws(SharedMemoryError) {
        try self.init(joining: descriptor, .values, .plain)
        try expect(elements: MemoryLayout<Element>.size)
    }
}

extension SharedQueue<[UInt8]> {
    /// A queue of frames of up to `longest` bytes, 0 to 16,777,216, for `limit` of them, 1 to 16,777,216 and at most 64 GiB.  The memory is taken as it is used.
    ///
    /// Throws where the kernel gives no memory.
    public convenience init(limit: Int, longest: Int) throws(SharedMemoryError) {
        require(
            longest >= 0 && longest <= 1 << 24,
            "a shared queue for frames of up to \(longest) bytes; 0 to 16777216 are possible")
        try self.init(.frames, limit: limit, longest: longest, .frames)
    }

    /// The queue of frames behind `descriptor`, which another process has made, and which stays the caller's to close.
    ///
    /// Throws where there is none behind it.
    public convenience init(joining descriptor: Int32) throws(SharedMemoryError) {
        try self.init(joining: descriptor, .frames, .frames)
    }

    /// How many bytes a frame can have.
    public var longestFrame: Int { longest }
}

/// The lines of a queue's waits.
private enum Line {
    static let (takers, putters, joiners, count) = (0, 1, 2, 3)
}
