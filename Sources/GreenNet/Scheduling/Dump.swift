extension Hub: CustomStringConvertible {
    /// Every green thread of the hub, a line each: name, state, what it waits for.
    public var description: String { state.dump() }
}

extension HubPointer {
    func dump() -> String {
        let threads = sequence(first: pointee.first) { $0?.pointee.all_next }.prefix { $0 != nil }
        return threads.map { "  \($0!.line)" }.reversed().joined(separator: "\n")
    }
}

extension GreenThread {
    fileprivate var line: String {
        "\(title): \(activity)"
    }

    /// As errors name it.
    var title: String {
        let name = pointee.name.map { " (\(String(cString: $0)))" } ?? ""
        return "green thread \(pointee.id)\(name)"
    }

    private var activity: String {
        switch state {
        case .running: "running"
        case .ready: pointee.started == 0 ? "not begun" : "ready"
        case .ended: "ended"
        case .parked: "waits for \(wish)"
        }
    }

    private var wish: String {
        switch waitKind {
        case .readable: "descriptor \(pointee.wait_detail) to be readable"
        case .writable: "descriptor \(pointee.wait_detail) to be writable"
        case .sleep: "its time to sleep to be over"
        case .end: "the end of green thread \(pointee.wait_detail)"
        case .idle: "the end of all green threads"
        case .signal: "a signal"
        case .lookup: "a name to be looked up"
        case .connections: "the end of all connections"
        case .event, .nothing: "an event"
        case .several: "the first of several things"
        case .result: "a result"
        case .permit: "a permit of a semaphore"
        case .lock: "a lock that \(lockOwner) holds"
        case .condition: "a condition to be signalled"
        case .barrier: "the others at a barrier"
        case .item: "an item of a queue"
        case .room: "room in a queue"
        case .tasks: "the tasks of a queue to be done"
        case .fiber: "a fiber to switch to it"
        case .remote: "another OS thread"
        }
    }
}
