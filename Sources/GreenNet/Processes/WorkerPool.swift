import Glibc

/// The processes of a `ProcessPool`, and the calls on them, in bytes.
///
/// A process counts from its start until its end was collected, and there are never more than `limit`: one that ends is replaced after that.
final class WorkerPool: HubObject {
    typealias Start = () throws(ForkError) -> PoolWorker

    let limit: Int
    private let callsPerWorker: Int?
    private let startWorker: Start
    var owner = Owner()
    /// Whose calls these are: a forked child of it has a copy of the pool that is of no use.
    private let process = getpid()

    private var workers: [PoolWorker] = []
    /// Idle workers, of which some may have ended, the last to be idle first: its memory is in the processor's cache.  Or, for those who wait, why there is none.
    private let idle = GreenQueue<Result<PoolWorker, any Error>>.lifo()
    /// Green threads that will start a worker.
    private var starting = 0
    /// After workers that ended by themselves; begins anew when one has answered.
    private var backOff = BackOff()
    private(set) var isClosed = false

    /// How long a worker that is asked to end has until it is killed.
    private static let grace = Duration.seconds(1)
    /// How long a worker may take to reach the call that makes it one.
    static let helloTime = Duration.seconds(10)

    /// Starts the workers, all of them or none.
    init(limit: Int, callsPerWorker: Int?, startWorker: @escaping Start) throws(ForkError) {
        (self.limit, self.callsPerWorker, self.startWorker) = (limit, callsPerWorker, startWorker)
        for _ in 0..<limit { workers.append(try startWorker()) }
        for worker in workers { welcome(worker) }
    }

    /// The ids of the processes that run.
    var pids: [Int32] {
        checkUse()
        // A copy: to look may take one out.
        let workers = workers
        return workers.filter { !$0.end.look() }.map(\.end.pid)
    }

    private func checkUse() {
        require(getpid() == process, "a ProcessPool of process \(process) is used in its child \(getpid())")
        checkOwner()
    }

    // MARK: Calls

    /// Returns the payload of the answer.
    func call(_ frame: [UInt8], until deadline: Deadline) throws -> ArraySlice<UInt8> {
        checkUse()
        let worker = try takeWorker(until: deadline)
        let answer = try exchange(frame, worker, until: deadline)
        worker.answers += 1
        backOff.reset()
        giveBack(worker)
        if answer.kind == .answer { return answer.payload }
        throw WorkerError(description: String(decoding: answer.payload, as: UTF8.self))
    }

    private func takeWorker(until deadline: Deadline) throws -> PoolWorker {
        while true {
            let worker = try idle.take(until: deadline).get()
            guard worker.isUsable else { continue }
            worker.isBusy = true
            do throws(WaitError) {
                // Before the worker has the request: it is not ended for a call that need not begin.
                try Hub.currentThread.throwIfInterrupted()
                if deadline.hasPassed { throw .deadlinePassed }
            } catch {
                giveBack(worker)
                throw error
            }
            return worker
        }
    }

    private func exchange(_ frame: [UInt8], _ worker: PoolWorker, until deadline: Deadline) throws -> WorkerFrame {
        do throws(NetError) {
            try worker.send(frame, until: deadline)
            if let answer = try worker.receive(until: deadline), [.answer, .failure].contains(answer.kind) {
                return answer
            }
        } catch {
            // Where the worker has ended, its connection may have been closed under a send.
            if let wait = error.waitError, wait != .closed || isClosed {
                // Nothing but its end stops what it computes.
                worker.kill()
                throw wait
            }
        }
        throw WorkerDied(pid: worker.end.pid, exit: endOfBroken(worker))
    }

    /// The end of a worker whose stream has ended: it has ended, or has closed its socket and is killed.
    private func endOfBroken(_ worker: PoolWorker) -> ChildProcess.Exit {
        if let exit = worker.end.exit { return exit }
        return shielded {
            // A process that ends closes its descriptors before the kernel says that it has ended.
            if let exit = try? worker.end.wait(until: .after(WorkerPool.grace)) { return exit }
            worker.end.send(SIGKILL)
            return (try? worker.end.wait(until: .never)) ?? .unknown
        }
    }

    private func giveBack(_ worker: PoolWorker) {
        worker.isBusy = false
        guard worker.isUsable else { return }
        if isClosed || worker.answers == callsPerWorker { return retire(worker) }
        _ = try? idle.tryPut(.success(worker))
    }

    /// Its time is over: it ends at the end of the stream, and is killed where it does not.
    private func retire(_ worker: PoolWorker) {
        worker.dismiss()
        spawn(name: "end of worker \(worker.end.pid)") {
            let hasEnded = (try? worker.end.wait(until: .after(WorkerPool.grace))) != nil
            if !hasEnded { worker.end.send(SIGKILL) }
        }
    }

    // MARK: Workers begin and end

    /// A worker that was started, and will say when it is ready.
    private func welcome(_ worker: PoolWorker) {
        _ = worker.end.observe { [weak self, unowned worker] in self?.hasEnded(worker) }
        worker.end.startWatching()
        spawn(name: "start of worker \(worker.end.pid)") { self.awaitReadiness(of: worker) }
    }

    private func awaitReadiness(of worker: PoolWorker) {
        do {
            try readReadiness(of: worker)
            worker.isReady = true
            giveBack(worker)
        } catch let error as WaitError where error == .cancelled {
            // The hub closes.
            closeNow()
        } catch {
            worker.end.send(SIGKILL)
            if !isClosed { refuseCalls(error, without: worker) }
        }
    }

    private func readReadiness(of worker: PoolWorker) throws {
        let hello: WorkerFrame?
        do throws(WaitError) {
            hello = try receiveStart(of: worker, until: .after(WorkerPool.helloTime))
        } catch {
            guard error == .deadlinePassed else { throw error }
            throw WorkerError(description: "the worker process does not call ProcessPool.serveIfWorker at its start")
        }
        guard hello?.kind == .hello else { throw WorkerDied(pid: worker.end.pid, exit: endOfBroken(worker)) }
        let next = try receiveStart(of: worker, until: .never)
        switch next?.kind {
        case .ready: return
        case .failure: throw WorkerError(description: String(decoding: next!.payload, as: UTF8.self))
        default: throw WorkerDied(pid: worker.end.pid, exit: endOfBroken(worker))
        }
    }

    private func receiveStart(of worker: PoolWorker, until deadline: Deadline) throws(WaitError) -> WorkerFrame? {
        do throws(NetError) { return try worker.receive(until: deadline) } catch {
            if let wait = error.waitError { throw wait }
            return nil
        }
    }

    /// Where no worker is there that might take the calls that wait, they are told why, rather than wait for ever.
    private func refuseCalls(_ error: any Error, without failed: PoolWorker? = nil) {
        if workers.contains(where: { $0 !== failed && $0.isUsable }) { return }
        while idle.balance < 0 { _ = try? idle.tryPut(.failure(error)) }
    }

    /// In the loop, or wherever its end is noticed.
    private func hasEnded(_ worker: PoolWorker) {
        workers.removeAll { $0 === worker }
        worker.endWaits()
        dropEnded()
        if !isClosed { replace(after: worker.isDismissed ? .zero : backOff.next()) }
    }

    private func dropEnded() {
        var usable: [PoolWorker] = []
        while let next = idle.tryTake() { if let worker = try? next.get(), worker.isUsable { usable.append(worker) } }
        for worker in usable.reversed() { _ = try? idle.tryPut(.success(worker)) }
    }

    private func replace(after pause: Duration) {
        // The green thread would never run, once the hub has seen all others end.
        if Hub.currentThread.scheduler.fields.pointee.killsNewcomers { return closeNow() }
        guard workers.count + starting < limit else { return }
        starting += 1
        spawn(name: "start of a worker") { [weak self] in
            if pause > .zero { try? Greenlet.sleep(for: pause) }
            self?.startNext()
        }
    }

    private func startNext() {
        starting -= 1
        if isClosed { return }
        do {
            try Hub.currentThread.throwIfInterrupted()
            let worker = try startWorker()
            workers.append(worker)
            welcome(worker)
        } catch let error as WaitError where error == .cancelled {
            closeNow()
        } catch {
            refuseCalls(error)
            replace(after: backOff.next())
        }
    }

    // MARK: The end

    /// Ends all workers and waits until they have ended.
    func close() {
        checkUse()
        closeNow()
        shielded {
            let deadline = Deadline.after(WorkerPool.grace)
            for worker in workers { _ = try? worker.end.wait(until: deadline) }
            for worker in workers { worker.end.send(SIGKILL) }
            for worker in workers { _ = try? worker.end.wait(until: .never) }
        }
    }

    private func closeNow() {
        if isClosed { return }
        isClosed = true
        idle.shutDown(atOnce: true)
        for worker in workers {
            let isIdle = worker.isReady && !worker.isBusy
            worker.dismiss()
            if !isIdle { worker.end.send(SIGKILL) }
        }
    }
}

@available(*, unavailable)
extension WorkerPool: Sendable {}
