import Glibc
import GreenNet
import ProgramKit

/// The processes of a load.
///
/// `start()`, `open()`, `go()`, `wait()`, `close()`, in that order; `stop()` at any time.  Belongs to the hub that made it.
final class LoadFleet {
    let plan: LoadPlan
    private let count: Int
    private var workers: [Worker] = []
    /// All connections are open, or have failed.
    private(set) var isOpen = false
    /// After `stop()`: a process that has not answered by then is left out.  One that is stopped by a signal would hold the load for ever.
    private var lastAnswer = Deadline.never
    /// Longer than any process takes for its result, on a busy machine too.
    private static let answerTime = LoadPlan.shortPatience + .seconds(5)

    /// Counted over all processes, some tenths of a second ago.
    struct Progress: Equatable {
        var opened = 0
        var messages = 0
        var bytes = 0
        var failures = 0
    }

    private final class Worker {
        let process: PipedProgram
        var progress = Progress()
        let isConnected = GreenEvent()
        let isDone = GreenEvent()
        var result = LoadResult()
        var listener: Greenlet<Void>?

        init(_ plan: LoadPlan) throws {
            process = try PipedProgram(
                [ProgramArguments.ownPath, "load-worker"] + plan.words, capturing: [.standardOutput])
        }
    }

    /// Without a number of processes, as many as have descriptors for all connections.
    init(_ plan: LoadPlan, processes: Int? = nil) {
        self.plan = plan
        count = processes ?? LoadFleet.processes(for: plan.connections)
    }

    /// Starts the processes; after `stop()`, no more of them.  After an error, `close()` ends those that have been started.
    func start() throws {
        for number in 0..<count where !isStopping {
            let worker = try Worker(plan.share(number, of: count))
            workers.append(worker)
            worker.listener = spawn(name: "process \(number) of the load") { [self] in try listen(to: worker) }
            // A signal may end it before all are there.
            try Greenlet.sleep(for: .microseconds(1))
        }
    }

    private var isStopping: Bool { lastAnswer != .never }

    static func processes(for connections: Int) -> Int {
        let each = DescriptorLimit.connections
        return (connections + each - 1) / each
    }

    /// How many have been started.
    var processes: Int { workers.count }

    var progress: Progress {
        workers.reduce(into: Progress()) { sum, worker in
            sum.opened += worker.progress.opened
            sum.messages += worker.progress.messages
            sum.bytes += worker.progress.bytes
            sum.failures += worker.progress.failures
        }
    }

    /// Waits until all connections are open, or have failed.
    func open() throws {
        for worker in workers { try wait(for: worker.isConnected, worker) }
        isOpen = true
    }

    /// The measurement begins.
    func go() { for worker in workers { worker.process.writeLine("go") } }

    /// No process sends anything new.
    func stop() {
        for worker in workers { worker.process.writeLine("stop") }
        lastAnswer = .after(LoadFleet.answerTime)
    }

    /// Waits for the end of the measurement.  The connections stay open.
    func wait() throws -> LoadResult {
        var result = LoadResult()
        for worker in workers {
            do {
                try wait(for: worker.isDone, worker)
                result.add(worker.result)
            } catch let failure as Failure where failure == .loadProcessSilent(worker.process.pid) {
                result.failures.add(LoadFailure(kind: .other, text: "\(failure)"))
            }
        }
        return result
    }

    /// Ends all processes, and so closes all connections.
    func close() {
        for worker in workers { worker.process.closeInput() }
        let deadline = lastAnswer.hasPassed ? Deadline.now : .after(.seconds(5))
        for worker in workers {
            _ = try? worker.process.wait(until: deadline)
            worker.listener?.kill()
            _ = try? shielded { try worker.listener?.value() }
            worker.process.end()
        }
        workers = []
    }

    // MARK: Listening

    private func wait(for event: GreenEvent, _ worker: Worker) throws {
        while !event.isSet {
            if worker.listener!.hasEnded { throw Failure.loadProcessEnded }
            if lastAnswer.hasPassed { throw Failure.loadProcessSilent(worker.process.pid) }
            try event.wait(until: .after(.milliseconds(200)))
        }
    }

    private func listen(to worker: Worker) throws {
        while let line = try worker.process.readLine(.standardOutput) {
            switch line.prefix(while: { $0 != " " }) {
            case "at": worker.progress = Progress(line) ?? worker.progress
            case "connected": worker.isConnected.set()
            case "done": worker.isDone.set()
            default: worker.result.read(line)
            }
        }
    }
}

extension LoadFleet.Progress {
    fileprivate init?(_ line: String) {
        let numbers = line.split(separator: " ").dropFirst().compactMap { Int($0) }
        guard numbers.count == 4 else { return nil }
        self.init(opened: numbers[0], messages: numbers[1], bytes: numbers[2], failures: numbers[3])
    }
}
