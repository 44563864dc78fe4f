import GreenNet

/// One connection under load, in raw memory: green threads park while they work on it.
///
/// With many connections, what each message touches is no longer in the processor's cache; so that lies in one cache line.
struct Line {
    /// Where in the text it begins.
    var place: Int
    /// In bytes, since it was opened.
    var sent = 0
    var received = 0
    /// Bytes that have come of the first message that is not answered in full.
    var partial = 0
    /// In messages, while it is measured.
    var asked = 0
    var answered = 0
    /// Messages that it may ask for while it is measured.
    let quota: Int
    /// Since when it has been waiting for bytes that it is owed; `Int64.max` while it is owed none.
    var waitsSince = Int64.max

    // Seldom needed.
    /// Among all of all processes.
    let number: Int
    /// A green thread sends what was asked and did not fit in at once.
    var isCatchingUp = false
    /// Closed by the watchdog: it waited for too long.
    var isTimedOut = false
    var isOver = false

    init(number: Int, quota: Int) {
        (self.number, self.quota) = (number, quota)
        place = number * 1009 % LoadText.period
    }

    /// Room for so many, each beginning with a cache line.
    static func allocate(_ count: Int) -> UnsafeMutableBufferPointer<Padded> {
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: max(1, count) * MemoryLayout<Padded>.stride, alignment: 64)
        return UnsafeMutableBufferPointer(start: memory.bindMemory(to: Padded.self, capacity: count), count: count)
    }

    /// Two cache lines long.
    struct Padded {
        var line: Line
        private var padding: (Int, Int, Int, Int, Int, Int) = (0, 0, 0, 0, 0, 0)

        init(_ line: Line) { self.line = line }
    }
}

typealias LinePointer = UnsafeMutablePointer<Line>

/// The lines of one OS thread.
struct Lines {
    private let memory: UnsafeMutableBufferPointer<Line.Padded>

    init(_ plan: LoadPlan) {
        memory = Line.allocate(plan.own.count)
        for (index, number) in plan.own.enumerated() {
            memory.initializeElement(at: index, to: Line.Padded(Line(number: number, quota: plan.quota(of: number))))
        }
    }

    var indices: Range<Int> { memory.indices }
    var count: Int { memory.count }

    @inline(__always)
    subscript(index: Int) -> LinePointer {
        UnsafeMutableRawPointer(memory.baseAddress! + index).assumingMemoryBound(to: Line.self)
    }
}
