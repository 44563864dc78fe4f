extension Hub: CustomStringConvertible, CustomDebugStringConvertible {
    /// Every green thread of the hub, a line each: name, state, what it waits for and how long already (give or take the pass of the loop
    /// in which the wait began), where it was spawned.
    ///
    /// Under each are those that it has spawned, the oldest first.  Where the spawner has ended, the line is not indented.
    public var description: String {
        checkOwner()
        return scheduler.dump()
    }

    /// The same with a backtrace of each that is suspended, innermost first.
    public var debugDescription: String {
        checkOwner()
        return scheduler.dump(withBacktraces: true)
    }
}

extension Scheduler {
    func dump(withBacktraces: Bool = false) -> String {
        var children: [UInt64: [GreenThread]] = [:]
        let threads = threads.filter { !$0.isIdleRunner }
        let living = Set(threads.map(\.id))
        for thread in threads.reversed() {
            let spawner = thread.greenlet.spawnerID
            children[living.contains(spawner) ? spawner : 0, default: []].append(thread)
        }
        var lines: [String] = []
        // Not recursive: they may be as deep as there are green threads.
        var left = children[0, default: []].reversed().map { (thread: $0, indent: "  ") }
        while let (thread, indent) = left.popLast() {
            lines.append(indent + thread.line)
            if withBacktraces { lines += thread.backtrace.map { indent + "    at " + $0 } }
            left += children[thread.id, default: []].reversed().map { ($0, indent + "  ") }
        }
        return lines.joined(separator: "\n")
    }
}

extension GreenThread {
    /// Kept for the next job of a task: nothing that the program has started.
    var isIdleRunner: Bool { state == .parked && waitKind == .job }

    fileprivate var line: String {
        let site = greenlet.spawnSite.map { ", spawned at \($0)" } ?? ""
        return "\(title): \(activity)\(site)"
    }

    /// Empty while it runs, and before it begins.
    fileprivate var backtrace: [String] {
        let isSuspended = state == .parked || state == .ready
        return isSuspended && isStarted ? Frames.of(self).map(Symbol.name) : []
    }

    private var activity: String {
        switch state {
        case .running: "running"
        case .ready: isStarted ? "ready" : "not begun"
        case .ended: "ended"
        case .parked: "waits for \(waitDescription), for \(waited.inTenths) so far"
        }
    }

    /// That it waits for.
    private var descriptor: Int32 { waitAddress(of: Int32.self).pointee }

    private var waited: Duration { max(.zero, .nowCoarse - waitingSince) }

    private var waitDescription: String {
        switch waitKind {
        case .readable: "descriptor \(descriptor) to be readable"
        case .writable: "descriptor \(descriptor) to be writable"
        case .sleep: "its time to sleep to be over"
        case .end: "the end of green thread \(waitDetail)"
        case .idle: "the end of all green threads"
        case .signal: "a signal"
        case .lookup: "a name to be looked up"
        case .connections: "the end of all connections"
        case .event, .nothing: "an event"
        case .several: "the first of several things"
        case .result: "a result"
        case .permit: "a permit of a semaphore"
        case .lock: "a lock that \(waitAddress(of: LockState.self).ownerTitle) holds"
        case .condition: "a condition to be signalled"
        case .barrier: "the others at a barrier"
        case .item: "an item of a queue"
        case .room: "room in a queue"
        case .tasks: "the tasks of a queue to be done"
        case .fiber: "a fiber to switch to it"
        case .remote: "another OS thread"
        case .async: "an async call"
        case .job: "a job of a task"
        case .serving: "a call of stopServing()"
        case .process: "the end of process \(waitDetail)"
        }
    }
}

extension Duration {
    /// In seconds, as `12.3 s`.
    fileprivate var inTenths: String {
        let tenths = nanoseconds / 100_000_000
        return "\(tenths / 10).\(tenths % 10) s"
    }
}
