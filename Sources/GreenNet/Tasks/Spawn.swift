/// Runs `body` on a new green thread, which begins when the caller next waits, gives way or ends.  Never waits.
///
/// Where the kernel has no memory for a stack, the green thread ends at once, with `SpawnError`.
/// `stackSize` is in bytes, 65,536 (64 KiB) to 1,073,741,824 (1 GiB), rounded up to a power of two; nil: `Hub.defaultStackSize`.  It counts the guard of
/// 16 KiB too.  Any other value stops the program.  See <doc:Stacks>.
/// `name` shows in dumps and errors.  Callable from any green thread, and from a callback of the hub; the new green thread belongs to the same OS thread.
/// On an OS thread without a hub, it makes one; the caller is its main green thread then.
///
/// The new green thread begins with the task-locals that are bound where `spawn` is called, as `Task { }` does; with `inheriting: false`, with none.
/// Binding one costs it some 100 ns.
@discardableResult
@inlinable  // the caller knows which type of `Greenlet` it is; here it would have to be looked up
public func spawn<Value>(
    name: String? = nil, stackSize: Int? = nil, inheriting: Bool = true, fileID: StaticString = #fileID,
    line: UInt = #line, _ body: consuming @escaping () throws -> Value
) -> Greenlet<Value> {
    let greenlet = Greenlet(name: name, fileID: fileID, line: line, body)
    greenlet.begin(stackSize: stackSize, inheriting: inheriting)
    return greenlet
}

/// As `spawn`; with `isDaemon`, neither `Hub.run()` nor the end of the program waits for the green thread: for one that cleans up now and then, or reports.
///
///     spawn(isDaemon: true) { while true { try Greenlet.sleep(for: .seconds(60)); cache.dropOldItems() } }
///
/// `Hub.close()`, and with it the end of an OS thread, kills it and waits until it has unwound, as any other.  While it waits for a moment, an event of the
/// kernel's or another OS thread, `WaitError.blockedForever` is not thrown, since it could wake the others.
@discardableResult
public func spawn<Value>(
    isDaemon: Bool, name: String? = nil, stackSize: Int? = nil, fileID: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping () throws -> Value
) -> Greenlet<Value> {
    let greenlet = Greenlet(name: name, fileID: fileID, line: line, body)
    if isDaemon {
        greenlet.beginAsDaemon(stackSize: stackSize)
    } else {
        greenlet.begin(stackSize: stackSize, inheriting: true)
    }
    return greenlet
}

/// As `spawn`, but `body` begins after `duration`, counted from now.  If it is killed before, `body` never begins.
@discardableResult
public func spawn<Value>(
    after duration: Duration, name: String? = nil, stackSize: Int? = nil, fileID: StaticString = #fileID,
    line: UInt = #line, _ body: @escaping () throws -> Value
) -> Greenlet<Value> {
    let start = Deadline.after(duration)
    return spawn(name: name, stackSize: stackSize, fileID: fileID, line: line) {
        try Greenlet.sleep(until: start)
        return try body()
    }
}

/// The kernel had no memory or no mapping left (vm.max_map_count) for another stack.
public struct SpawnError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kernel's error: ENOMEM, as a rule.
    public let errno: SystemError

    /// As in `cannot make a stack for a green thread: cannot allocate memory (ENOMEM)`.
    public var description: String { "cannot make a stack for a green thread: \(errno)" }
}

extension Scheduler {
    /// Gives `greenlet` a stack and its place at the end of the ready queue.
    func start(_ greenlet: AnyGreenlet, on size: StackClass, inheriting: Bool) throws(SpawnError) {
        let thread = try admit(greenlet, on: size)
        if _slowPath(TaskWords.areHeld), inheriting { inheritTaskLocals(thread) }
        thread.state = .ready
        fields.pointee.ready.append(thread)
        if fields.pointee.killsNewcomers { greenlet.kill() }
        fields.pointee.onSpawn?(thread)
    }

    /// Gives `greenlet` a stack, and parks it until a fiber hands over to it.
    func startParked(_ greenlet: AnyGreenlet, on size: StackClass) throws(SpawnError) {
        let thread = try admit(greenlet, on: size)
        if _slowPath(TaskWords.areHeld) { inheritTaskLocals(thread) }
        thread.state = .parked
        thread.waitKind = .fiber
        thread.waitingSince = fields.pointee.passBegan
    }

    /// Gives `greenlet`, which the library needs for itself, a stack and its place at the end of the ready queue: `onSpawn` does not see it.
    func startUnseen(_ greenlet: AnyGreenlet) throws(SpawnError) {
        let thread = try admit(greenlet, on: .usual)
        thread.state = .ready
        fields.pointee.ready.append(thread)
    }

    private func admit(_ greenlet: AnyGreenlet, on size: StackClass) throws(SpawnError) -> GreenThread {
        let thread: GreenThread
        do { thread = try fields.pointee.stacks.take(size) } catch { throw SpawnError(errno: error) }
        enrol(greenlet, as: thread)
        greenlet.spawnerID = Hub.currentThread.id
        Context.prepare(thread, entry: greenThreadMain)
        alive += 1
        return thread
    }

    @inline(never)  // Rare: else each spawn would make the frame that it takes.
    private func inheritTaskLocals(_ thread: GreenThread) {
        guard case .success(let layout) = fields.pointee.taskLocals else { return }
        if let copy = TaskLocals.copy(layout) { thread.begin(withTaskLocals: copy) }
    }

    /// `thread` has not begun; `task` is suspended, on whatever OS thread.
    func inheritTaskLocals(_ thread: GreenThread, of task: UnsafeRawPointer) {
        guard case .success(let layout) = fields.pointee.taskLocals else { return }
        if let copy = TaskLocals.copy(of: task, layout) { thread.begin(withTaskLocals: copy) }
    }

    /// Those that are bound now; nil where none is.
    func captureTaskLocals() -> CapturedTaskLocals? {
        guard TaskWords.areHeld, case .success(let layout) = fields.pointee.taskLocals else { return nil }
        return CapturedTaskLocals(layout)
    }

    /// The same, for code that runs on other OS threads.
    func carryTaskLocals() -> CarriedTaskLocals? {
        guard TaskWords.areHeld, case .success(let layout) = fields.pointee.taskLocals else { return nil }
        return TaskLocals.carry(layout)
    }

    func enrol(_ greenlet: AnyGreenlet, as thread: GreenThread) {
        add(thread)
        thread.body = Unmanaged.passRetained(greenlet).toOpaque()
        if let name = greenlet.name { thread.keepName(name) }
        greenlet.thread = thread
        greenlet.owner = .here
        greenlet.id = thread.id
    }

    /// Every green thread that has not ended, the youngest first, without the main one.
    var living: [AnyGreenlet] { threads.filter { $0 != main }.map(\.greenlet) }

    /// When the hub closes.
    func strikeOffMain() {
        let greenlet = main.greenlet
        greenlet.forgetLocals()
        greenlet.endRoles()
        greenlet.thread = nil
        // No green thread is left that it could be called on, but other OS threads may have asked for its end.
        greenlet.announce()
        Unmanaged<AnyGreenlet>.fromOpaque(main.body).release()
    }
}

extension GreenThread {
    /// What runs on it.  Not for the loop's own green thread, which has none.
    var greenlet: AnyGreenlet { Unmanaged.fromOpaque(body).takeUnretainedValue() }
}

/// The first frame of every green thread.
private let greenThreadMain: Context.Entry = { argument in
    let thread = GreenThread(argument!)
    runBody(of: thread)
    return thread.scheduler.end(thread).record
}

/// Apart, so that all of it is released before the stack is given back.
@inline(never)
private func runBody(of thread: GreenThread) {
    var greenlet = Unmanaged<AnyGreenlet>.fromOpaque(thread.body).takeRetainedValue()
    thread.setStarted()
    if _slowPath(thread.holdsWords) { Context.restoreWords(of: thread) }
    greenlet.run()
    if !greenlet.locals.isEmpty { greenlet.forgetLocals() }
    if _slowPath(greenlet.isDaemon) { greenlet.stopBeingDaemon() }
    if _slowPath(greenlet.roles != nil) { greenlet.endRoles() }
    greenlet.thread = nil
    greenlet.announce()
    if _slowPath(TaskWords.areHeld) { endTaskLocals(of: &greenlet) }
}

/// While `greenlet` lives: a value that is released may ask for it.
@inline(never)
private func endTaskLocals(of greenlet: inout AnyGreenlet) {
    // The report of a failure is part of what the green thread does, and no other code can ask for its end any more.
    if isKnownUniquelyReferenced(&greenlet) { greenlet.reportIfUnobserved() }
    TaskLocals.unbindAll()
}
