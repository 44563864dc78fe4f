import Glibc
import GreenNet
import ProgramKit

/// The processes of a load, as many as it takes, and what they say.
///
/// `open()`, `go()`, `wait()`, `close()`, in that order; `stop()` at any time.  Belongs to the hub that made it.
final class LoadFleet {
    let plan: LoadPlan
    private var workers: [Worker] = []
    /// All connections are open, or have failed.
    private(set) var isOpen = false

    /// Counted over all processes, some tenths of a second ago.
    struct Progress: Equatable {
        var opened = 0
        var messages = 0
        var bytes = 0
        var failures = 0
    }

    private final class Worker {
        let process: ChildProcess
        var progress = Progress()
        let isConnected = GreenEvent()
        let isDone = GreenEvent()
        var result = LoadResult()
        var listener: Greenlet<Void>?

        init(_ plan: LoadPlan) throws {
            process = try ChildProcess(
                [ProgramArguments.ownPath, "load-worker"] + plan.words, capturing: [.standardOutput])
        }
    }

    /// Without a number of processes, as many as have descriptors for all connections.
    init(_ plan: LoadPlan, processes: Int? = nil) throws {
        self.plan = plan
        let count = processes ?? LoadFleet.processes(for: plan.connections)
        do {
            for number in 0..<count {
                let worker = try Worker(plan.share(number, of: count))
                workers.append(worker)
                worker.listener = spawn(name: "process \(number) of the load") { [self] in try listen(to: worker) }
                // A signal may end it before all are there.
                try Greenlet.sleep(for: .microseconds(1))
            }
        } catch {
            close()
            throw error
        }
    }

    static func processes(for connections: Int) -> Int {
        let each = DescriptorLimit.connections
        return (connections + each - 1) / each
    }

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

    /// Nothing new is asked any more.
    func stop() { for worker in workers { worker.process.writeLine("stop") } }

    /// Waits for the end of the measurement.  The connections stay open.
    func wait() throws -> LoadResult {
        var result = LoadResult()
        for worker in workers {
            try wait(for: worker.isDone, worker)
            result.add(worker.result)
        }
        return result
    }

    /// Ends all processes, and so closes all connections.
    func close() {
        for worker in workers {
            worker.process.closeInput()
            _ = try? worker.process.waitForEnd(until: .after(.seconds(5)))
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
