import Glibc

/// Runs `body` on a green thread of its own, which begins when this one next waits, gives way or ends.
///
/// Never waits.  Where the kernel has no stack to give, the green thread is born failed, with `SpawnError`.
/// `name` shows in dumps and errors.  Callable from any green thread; the new one belongs to the same OS thread.
@discardableResult
@inlinable  // the caller knows which type of `Greenlet` it is; here it would have to be looked up
public func spawn<Value>(
    name: String? = nil, fileID: StaticString = #fileID, line: UInt = #line,
    _ body: consuming @escaping () throws -> Value
) -> Greenlet<Value> {
    let greenlet = Greenlet(name: name, fileID: fileID, line: line, body)
    greenlet.begin()
    return greenlet
}

/// As `spawn`, but `body` begins after `duration`, counted from now.  Killed before, it never begins.
@discardableResult
public func spawn<Value>(
    after duration: Duration, name: String? = nil, fileID: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping () throws -> Value
) -> Greenlet<Value> {
    let start = Deadline.after(duration)
    return spawn(name: name, fileID: fileID, line: line) {
        try Greenlet.sleep(until: start)
        return try body()
    }
}

/// The kernel had no memory, or no mapping left (vm.max_map_count), for one more stack.
public struct SpawnError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What the kernel said: ENOMEM, as a rule.
    public let errno: SystemError

    /// As in `cannot make a stack for a green thread: cannot allocate memory (ENOMEM)`.
    public var description: String { "cannot make a stack for a green thread: \(errno)" }
}

extension HubPointer {
    func nextID() -> UInt64 {
        pointee.lastID += 1
        return pointee.lastID
    }

    /// Gives `greenlet` a stack and its place at the end of the ready queue.
    func start(_ greenlet: AnyGreenlet) throws(SpawnError) {
        let thread = try admit(greenlet)
        thread.state = .ready
        pointee.ready.append(thread)
        if pointee.killsNewcomers { greenlet.kill() }
        pointee.onSpawn?(greenlet)
    }

    /// Gives `greenlet` a stack, and parks it until somebody hands over to it.
    func startParked(_ greenlet: AnyGreenlet) throws(SpawnError) {
        let thread = try admit(greenlet)
        thread.state = .parked
        thread.waitKind = .fiber
        thread.waitingSince = pointee.passBegan
    }

    private func admit(_ greenlet: AnyGreenlet) throws(SpawnError) -> GreenThread {
        let thread: GreenThread
        do { thread = try pointee.stacks.take() } catch { throw SpawnError(errno: error) }
        enrol(greenlet, as: thread)
        greenlet.spawnerID = Hub.currentThread.id
        Context.prepare(thread, entry: greenThreadMain)
        pointee.alive += 1
        return thread
    }

    private func enrol(_ greenlet: AnyGreenlet, as thread: GreenThread) {
        thread.id = nextID()
        thread.hub = self
        thread.deadline = .never
        thread.scopeDeadline = .never
        thread.body = Unmanaged.passRetained(greenlet).toOpaque()
        if let name = greenlet.name { thread.keepName(name) }
        thread.older = pointee.first
        pointee.first?.younger = thread
        pointee.first = thread
        greenlet.thread = thread
        greenlet.id = thread.id
    }

    private func strikeOff(_ thread: GreenThread) {
        let (younger, older) = (thread.younger, thread.older)
        if let younger { younger.older = older } else { pointee.first = older }
        older?.younger = younger
        thread.freeName()
        thread.forgetDeadline()
    }

    /// Every green thread that has not ended, the youngest first, without the main one.
    var living: [AnyGreenlet] {
        sequence(first: pointee.first) { $0?.older }.prefix { $0 != nil }
            .map { $0!.greenlet }.filter { $0.thread != pointee.main }
    }

    // MARK: The main green thread

    func adoptMainThread() {
        let main = pointee.main
        enrol(MainGreenlet(), as: main)
        main.state = .running
        main.setStarted()
        Context.adoptOSThread(main)
        Context.setRunning(main)
    }

    // MARK: The scheduler

    func prepareScheduler() {
        pointee.scheduler.hub = self
        Context.prepare(pointee.scheduler, entry: schedulerMain)
    }

    /// The scheduler's stack is left by returning from `schedule()`, as every stack is.
    func endScheduler() {
        pointee.isClosing = true
        Context.switchStack(from: pointee.main, to: pointee.scheduler)
    }

    func freeMemory() {
        let main = pointee.main
        main.greenlet.forgetLocals()
        strikeOff(main)
        main.greenlet.thread = nil
        Unmanaged<AnyGreenlet>.fromOpaque(main.body).release()
        UnsafeMutableRawPointer(main.record).deallocate()
        pointee.stacks.give(pointee.scheduler)
        pointee.stacks.unmapAll()
        pointee.receiveBuffer.free()
        pointee.deadlines.free()
        pointee.alarm.free(on: pointee.loop)
    }

    // MARK: The end of a green thread

    /// On the stack of the green thread that ends, which nothing touches any more once the next one runs.  Returns that one.
    fileprivate func end(_ thread: GreenThread) -> GreenThread {
        thread.joiners.wakeAll()
        strikeOff(thread)
        thread.state = .ended
        pointee.alive -= 1
        if pointee.alive <= 1 { idleQueue.wakeAll() }
        pointee.stacks.give(thread)
        return takeSuccessor()
    }
}

extension GreenThread {
    /// What runs on it.  Never that of the scheduler's own green thread.
    var greenlet: AnyGreenlet { Unmanaged.fromOpaque(body).takeUnretainedValue() }
}

extension HubPointer {
    var idleQueue: WaitQueue { withUnsafeMutablePointer(to: &pointee.idle) { WaitQueue($0) } }
}

/// The first frame of every green thread.
private let greenThreadMain: Context.Entry = { argument in
    let thread = GreenThread(argument!)
    runBody(of: thread)
    return thread.hub.end(thread).record
}

/// Apart, so that all of it is released before the stack is given back.
@inline(never)
private func runBody(of thread: GreenThread) {
    let greenlet = Unmanaged<AnyGreenlet>.fromOpaque(thread.body).takeRetainedValue()
    thread.setStarted()
    greenlet.run()
    if !greenlet.locals.isEmpty { greenlet.forgetLocals() }
    greenlet.thread = nil
    greenlet.announce()
}

private let schedulerMain: Context.Entry = { argument in
    let hub = GreenThread(argument!).hub
    hub.schedule()
    Context.setRunning(hub.pointee.main)
    return hub.pointee.main.record
}
