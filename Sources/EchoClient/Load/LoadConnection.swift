import GreenNet

/// The state of one connection under load, in raw memory: green threads park while they work on it.
///
/// With many connections, what each message touches is no longer in the processor's cache; so that lies in one cache line.
struct LoadConnection {
    typealias Pointer = UnsafeMutablePointer<LoadConnection>

    /// Where in the text it begins.
    var place: Int
    /// In bytes, since it was opened.
    var sent = 0
    var received = 0
    /// Bytes received of the first message whose answer is not complete.
    var partial = 0
    /// In messages, while the load is measured.
    var asked = 0
    var answered = 0
    /// Messages that it may ask for while the load is measured.
    let quota: Int
    /// Since when the connection has been waiting for bytes that the service owes; `Int64.max` while the service owes none.
    var waitsSince = Int64.max

    // Seldom needed.
    /// Among all of all processes.
    let number: Int
    /// A green thread sends what was asked and did not fit in at once.
    var isCatchingUp = false
    /// The watchdog has closed the connection, which waited for longer than the time limit.
    var isTimedOut = false
    var isOver = false

    init(number: Int, quota: Int) {
        (self.number, self.quota) = (number, quota)
        place = number * 1009 % LoadText.period
    }
}

/// The connections of one OS thread.
struct LoadConnections {
    /// Two cache lines long.
    private struct Padded {
        var state: LoadConnection
        private var padding: (Int, Int, Int, Int, Int, Int) = (0, 0, 0, 0, 0, 0)

        init(_ state: LoadConnection) { self.state = state }
    }

    private let memory: UnsafeMutableBufferPointer<Padded>

    init(_ plan: LoadPlan) {
        memory = LoadConnections.allocate(plan.own.count)
        for (index, number) in plan.own.enumerated() {
            memory.initializeElement(
                at: index, to: Padded(LoadConnection(number: number, quota: plan.quota(of: number))))
        }
    }

    /// Room for `count`, each of which begins with a cache line.
    private static func allocate(_ count: Int) -> UnsafeMutableBufferPointer<Padded> {
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: max(1, count) * MemoryLayout<Padded>.stride, alignment: 64)
        return UnsafeMutableBufferPointer(start: memory.bindMemory(to: Padded.self, capacity: count), count: count)
    }

    var indices: Range<Int> { memory.indices }
    var count: Int { memory.count }

    @inline(__always)
    subscript(index: Int) -> LoadConnection.Pointer {
        UnsafeMutableRawPointer(memory.baseAddress! + index).assumingMemoryBound(to: LoadConnection.self)
    }
}
