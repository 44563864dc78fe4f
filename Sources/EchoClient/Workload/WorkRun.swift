import ArgumentParser
import Glibc
import GreenNet
import ProgramKit

/// What one way of doing all tasks has taken.
struct WorkTimes: Equatable, Sendable {
    /// In seconds, from the first task's beginning to the last one's end; making threads or processes included.
    var wall = 0.0
    /// Of all threads and processes.
    var processor = 0.0
    /// How many tasks were under way at once, on the average.
    var overlap = 0.0
    /// For how long they could have run, but other threads had the processors; of all threads together.
    var queued = 0.0

    /// How many processors were at work, on the average.
    var processors: Double { wall > 0 ? processor / wall : 0 }

    var words: String { "\(wall) \(processor) \(overlap) \(queued)" }

    init(wall: Double, processor: Double, overlap: Double, queued: Double) {
        (self.wall, self.processor, self.overlap, self.queued) = (wall, processor, overlap, queued)
    }

    init?(_ words: String) {
        let numbers = words.split(separator: " ").compactMap { Double($0) }
        guard numbers.count == 4 else { return nil }
        self.init(wall: numbers[0], processor: numbers[1], overlap: numbers[2], queued: numbers[3])
    }
}

/// `echo-client workload-run`: all tasks in one way, in a process that has done nothing before.  It writes `WorkTimes`.
struct WorkRun: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workload-run", abstract: "All tasks in one way; started by workload.", shouldDisplay: false)

    @Argument var way: String
    @Argument var work: String
    @Argument var tasks: Int
    @Argument var facts: [String]

    func run() throws {
        guard let way = Way(rawValue: way), let work = Work(rawValue: work), let facts = WorkFacts(facts), tasks > 0
        else {
            throw ValidationError("This is no workload.")
        }
        DescriptorLimit.raise()
        let start = WorkRun.seconds
        let queued = WorkRun.queuedTime
        let spans = try WorkRun.run(way, work, tasks, facts)
        let wall = WorkRun.seconds - start
        let times = WorkTimes(
            wall: wall, processor: WorkRun.processorTime, overlap: spans.reduce(0) { $0 + $1.length } / wall,
            queued: WorkRun.queuedTime - queued + spans.reduce(0) { $0 + $1.queued })
        // No hub was needed for the ways that have none, and none is made now.
        print(times.words)
    }

    /// One task, in seconds.
    fileprivate struct Span {
        /// How long it was under way.
        var length = Double.nan
        /// How long it waited for a processor, where it had a thread of its own.
        var queued = 0.0
    }

    private static func run(_ way: Way, _ work: Work, _ tasks: Int, _ facts: WorkFacts) throws -> [Span] {
        switch way {
        case .oneThread: try (0..<tasks).map { _ in try timed { try work.runTask(facts, BlockingWaits.self) } }
        case .threads: try onThreads(work, tasks, facts)
        case .processes: try inProcesses(work, tasks, facts)
        case .greenThreads: try onGreenThreads(work, tasks, facts)
        }
    }

    private static func onGreenThreads(_ work: Work, _ tasks: Int, _ facts: WorkFacts) throws -> [Span] {
        let threads = (0..<tasks).map { _ in spawn { try timed { try work.runTask(facts, GreenWaits.self) } } }
        return try threads.map { try $0.value() }
    }

    private static func onThreads(_ work: Work, _ tasks: Int, _ facts: WorkFacts) throws -> [Span] {
        let spans = Spans(tasks)
        for number in 0..<tasks {
            try OSThread.start(blocksSignals: true) {
                var span = (try? timed { try work.runTask(facts, BlockingWaits.self) }) ?? Span()
                span.queued = queuedTime
                spans.set(number, span)
            }
        }
        return try spans.wait()
    }

    /// Forked: this process has one OS thread and no hub.
    private static func inProcesses(_ work: Work, _ tasks: Int, _ facts: WorkFacts) throws -> [Span] {
        var starts: [pid_t: Double] = [:]
        var queued = try GreenPipe()
        let (reading, writing) = (queued.reading, queued.writing)
        defer {
            queued.closeReading()
            queued.closeWriting()
        }
        for _ in 0..<tasks {
            let start = seconds
            let pid = try Fork.child(Fork.Inheritance(descriptors: [writing])) {
                guard (try? work.runTask(facts, BlockingWaits.self)) != nil else { return 1 }
                return write(queuedTime, to: writing) ? 0 : 1
            }
            starts[pid] = start
        }
        return try (0..<tasks).map { _ in
            var status: Int32 = 0
            let pid = waitpid(-1, &status, 0)
            guard let start = starts[pid], status == 0, let wait = readNumber(from: reading) else {
                throw Failure.taskFailed
            }
            return Span(length: seconds - start, queued: wait)
        }
    }

    /// In one piece with nothing else in between.
    private static func write(_ number: Double, to descriptor: Int32) -> Bool {
        withUnsafeBytes(of: number) { Glibc.write(descriptor, $0.baseAddress, $0.count) == $0.count }
    }

    /// Blocks until there is one.
    private static func readNumber(from descriptor: Int32) -> Double? {
        var number = 0.0
        return withUnsafeMutableBytes(of: &number) { read(descriptor, $0.baseAddress, $0.count) == $0.count }
            ? number : nil
    }

    private static func timed(_ body: () throws -> Void) rethrows -> Span {
        let start = seconds
        try body()
        return Span(length: seconds - start)
    }

    /// How long this OS thread has waited for a processor since it began, in seconds.  The kernel's second figure there.
    private static var queuedTime: Double {
        let fields = SmallFile.text(of: "/proc/thread-self/schedstat")?.split(separator: " ") ?? []
        return fields.count > 1 ? (Double(fields[1]) ?? 0) / 1e9 : 0
    }

    private static var seconds: Double { Double(Deadline.now.nanoseconds) / 1e9 }

    /// In seconds, of this process and its children that have ended.
    private static var processorTime: Double {
        [RUSAGE_SELF.rawValue, RUSAGE_CHILDREN.rawValue].reduce(0) { sum, who in
            var usage = rusage()
            getrusage(who, &usage)
            return sum
                + [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
        }
    }
}

/// How long the task of each OS thread was under way.  Their maker waits for all.
private final class Spans: @unchecked Sendable {
    // Unchecked: each cell has one writer, and is read after the semaphore was posted for it.
    private let cells: UnsafeMutableBufferPointer<WorkRun.Span>
    private let ended = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init(_ count: Int) {
        cells = .allocate(capacity: count)
        cells.initialize(repeating: WorkRun.Span())
        sem_init(ended, 0, 0)
    }

    deinit {
        cells.deallocate()
        sem_destroy(ended)
        ended.deallocate()
    }

    func set(_ number: Int, _ span: WorkRun.Span) {
        cells[number] = span
        sem_post(ended)
    }

    func wait() throws -> [WorkRun.Span] {
        for _ in cells { while sem_wait(ended) != 0 {} }
        if cells.contains(where: { $0.length.isNaN }) { throw Failure.taskFailed }
        return Array(cells)
    }
}

/// `echo-client workload-server`: answers each byte after a while, as a service does that has to ask others first.
struct WorkServer: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workload-server", abstract: "The server that workload asks; started by it.", shouldDisplay: false)

    func run() throws {
        DescriptorLimit.raise()
        let listener = try Listener(on: .loopback(port: 0))
        try StandardStreams.write("\(listener.address.port!)\n")
        let server = StreamServer(listener) { connection in
            let timer = try PreciseTimer()
            while let bytes = try connection.receiveView() {
                let count = bytes.count
                try timer.wait(until: .after(Work.answerTime))
                try connection.sendAll([UInt8](repeating: 1, count: count))
            }
        }
        server.start()
        // The input ends when `workload` does.
        _ = try LineReader(STDIN_FILENO).next()
        _exit(0)
    }
}
