import Glibc

/// A pool of processes that run a function: a computation on all cores, and one that can be stopped.
///
///     let pool = try ProcessPool(limit: 4) { (numbers: [Int]) in numbers.reduce(0, +) }
///     let sum = try pool.call([1, 2, 3], until: .after(.seconds(1)))
///     let squares = try pool.map([[1], [2, 2]])
///     pool.close()
///
/// Requests and answers go by value, as bytes over a socket pair: any `Codable` type, and arrays of numbers as they lie in memory.  A call takes a worker that
/// is idle, or waits for one, first come, first served; a worker has one call at a time.
///
/// The workers are forked when the pool is made: with a copy of all memory of that moment, and so only while the process has one OS thread.  One that ends is
/// replaced, after a pause where it has ended by itself; there are never more than `limit` processes.  They end with this process, however that ends.
/// `init(limit:callsPerWorker:frameLimit:running:)` makes a pool in a process that has more OS threads.
///
/// <doc:Processes> says how calls end: by deadlines, kills, closing, and the death of either side.  Belongs to the OS thread that made it.
public final class ProcessPool<Request: Codable, Answer: Codable> {
    private let pool: WorkerPool
    /// How many bytes a request or an answer takes at most.
    public let frameLimit: Int
    /// How many processes there are.
    public var limit: Int { pool.limit }

    /// Forks `limit` workers, and returns while they prepare themselves.  Callable from any green thread; never parks.
    ///
    /// - `limit`: how many processes there are; 1 to 4,096.
    /// - `callsPerWorker`: after this number of calls a worker ends and is replaced, against memory that the function leaks; nil for no limit, else 1 or more.
    /// - `frameLimit`: how many bytes a request or an answer takes at most; 1 to 1,073,741,824 (1 GiB).
    /// - `prepare`: runs once in each worker, before its first call.  If it throws, the worker ends.
    /// - `body`: runs in a worker, on a green thread with a stack of 8 MiB; it may wait, and what it spawns runs on during the worker's later calls.  What it
    ///   throws is thrown by the call as `WorkerError`.
    ///
    /// A worker has the standard output and error of this process, `/dev/null` as input, and a process group of its own, which ends with it.  Throws `ForkError`
    /// where the process has several OS threads, or the system can't make a process; no worker is left then.
    public init(
        limit: Int, callsPerWorker: Int? = nil, frameLimit: Int = 64 << 20, prepare: @escaping () throws -> Void = {},
        _ body: @escaping (Request) throws -> Answer
    ) throws(ForkError) {
        checkPool(limit, callsPerWorker, frameLimit)
        self.frameLimit = frameLimit
        let answer = answering(frameLimit, body)
        pool = try WorkerPool(limit: limit, callsPerWorker: callsPerWorker) { () throws(ForkError) in
            try PoolWorker.forked(frameLimit, prepare, answer)
        }
    }

    /// Starts `limit` workers that run `function`, each this program anew, and returns while they start.  From a process with any number of OS threads.
    ///
    /// A worker is this program's file, executed again with no memory of this process: the program calls `ProcessPool.serveIfWorker` with the function at its
    /// start, and in a worker that call does not return.  A worker ends with the OS thread that has made the pool.  All else is as for a pool that forks.
    public init(
        limit: Int, callsPerWorker: Int? = nil, frameLimit: Int = 64 << 20,
        running function: WorkerFunction<Request, Answer>
    ) throws(ForkError) {
        checkPool(limit, callsPerWorker, frameLimit)
        self.frameLimit = frameLimit
        pool = try WorkerPool(limit: limit, callsPerWorker: callsPerWorker) { () throws(ForkError) in
            try PoolWorker.executed(function.name, frameLimit)
        }
    }

    /// The ids of the worker processes that run now, `limit` of them unless some are being replaced.  Never waits.
    public var workers: [Int32] { pool.pids }

    /// Has a worker run the function with `request`, waits, and returns its answer.  Callable from any green thread of the pool's hub.
    ///
    /// - At `deadline` it throws `WaitError.deadlinePassed`; when the caller is killed, or an enclosing time limit is over, `WaitError`.  If a worker has the
    ///   request by then, it is killed, for nothing else stops a computation, and replaced; else the request is never run.
    /// - `WorkerDied`, where the worker has ended before it answered.  Whether the function has run is not known.  The request is not tried again.
    /// - `WorkerError`, with the text of what the function has thrown, or of why its answer can't be sent.
    /// - `ValueError`, and what an encoder throws, where `request` can't be sent; no worker has it then.
    /// - `WaitError.closed`, where the pool is closed, before or meanwhile.
    /// - Where no worker is there and none can be started, a call that waits for one throws why: `ForkError`, `WorkerDied` or `WorkerError`.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func call(_ request: Request, until deadline: Deadline = .never) throws -> Answer {
        let payload = try ValueEncoder.encode(request, upTo: frameLimit)
        let answer = try pool.call(WorkerFrame.bytes(.request, payload), until: deadline)
        return try ValueDecoder.decode(Answer.self, from: answer)
    }

    /// Begins a call and returns without waiting: the green thread that makes it.  `value(until:)` gives the answer, `link` runs code here when it has come, and
    /// `kill()` ends the call as a kill of its caller does.  Calls that are submitted one after the other begin in that order.
    public func submit(
        _ request: Request, until deadline: Deadline = .never, fileID: StaticString = #fileID, line: UInt = #line
    ) -> Greenlet<Answer> {
        spawn(name: "call of a process pool", fileID: fileID, line: line) { try self.call(request, until: deadline) }
    }

    /// Calls the function with each of `requests`, `limit` of them at a time, waits, and returns the answers in the order of the requests.
    ///
    /// No more than `limit` requests are taken from the sequence before their turn.  Where a call throws, those under way end, no other begins, and the first
    /// error is thrown.  At `deadline`, and when the caller is killed or its time is over, those under way end as `call` says.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func map(_ requests: some Sequence<Request>, until deadline: Deadline = .never) throws -> [Answer] {
        let mapping = Mapping(requests)
        try withGreenGroup { group in
            for _ in 0..<limit {
                guard let first = mapping.next() else { break }
                group.spawn { try self.run(mapping, first, until: deadline) }
            }
        }
        if let failure = mapping.failure { throw failure }
        return mapping.answers.map { $0! }
    }

    /// One call after the other.
    private func run(_ mapping: Mapping, _ first: (Int, Request), until deadline: Deadline) throws {
        var next: (Int, Request)? = first
        while let (index, request) = next {
            do {
                mapping.set(try call(request, until: deadline), at: index)
            } catch let error as WaitError where error != .deadlinePassed && error != .closed {
                throw error
            } catch {
                mapping.fail(error)
            }
            next = mapping.next()
        }
    }

    /// What the calls of one `map` share.
    private final class Mapping {
        private let requests: AnyIterator<Request>
        private(set) var answers: [Answer?] = []
        private(set) var failure: (any Error)?

        init(_ requests: some Sequence<Request>) { self.requests = AnyIterator(requests.makeIterator()) }

        func next() -> (Int, Request)? {
            guard failure == nil, let request = requests.next() else { return nil }
            answers.append(nil)
            return (answers.count - 1, request)
        }

        func set(_ answer: Answer, at index: Int) { answers[index] = answer }
        func fail(_ error: any Error) { failure = failure ?? error }
    }

    /// Ends all workers and waits until they have ended: at once where they are busy, and after a second at most where they are idle.
    ///
    /// Calls that wait or are under way throw `WaitError.closed`, and so does every later one.  A kill of the caller takes effect after it.  Closed again, it waits
    /// for the same.  A pool that goes without it ends its workers, too.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func close() { pool.close() }
}

@available(*, unavailable)
extension ProcessPool: Sendable {}

private func checkPool(_ limit: Int, _ callsPerWorker: Int?, _ frameLimit: Int) {
    require((1...4096).contains(limit), "a pool of \(limit) processes: it takes 1 to 4096")
    if let callsPerWorker { require(callsPerWorker > 0, "a callsPerWorker of \(callsPerWorker): it takes 1 or more") }
    require(
        (1...1 << 30).contains(frameLimit), "a frameLimit of \(frameLimit) bytes: it takes 1 to \(1 << 30) (1 GiB)")
    WorkerProcess.refuseUnserved()
}

/// From the payload of a request to that of its answer, in the worker.
func answering<Request: Codable, Answer: Codable>(
    _ frameLimit: Int, _ body: @escaping (Request) throws -> Answer
) -> (ArraySlice<UInt8>) throws -> [UInt8] {
    { try ValueEncoder.encode(try body(try ValueDecoder.decode(Request.self, from: $0)), upTo: frameLimit) }
}

// MARK: - Errors

/// The process of a pool that had a call has ended before it answered.
public struct WorkerDied: Error, Hashable, Sendable, CustomStringConvertible {
    /// Its id.
    public let pid: Int32
    /// How it has ended.
    public let exit: ChildProcess.Exit

    /// The error of the worker `pid`, which has ended so.
    public init(pid: Int32, exit: ChildProcess.Exit) { (self.pid, self.exit) = (pid, exit) }

    /// As in `worker process 4242 has ended before it answered: signal 9`.
    public var description: String { "worker process \(pid) has ended before it answered: \(exit)" }
}

/// What the function of a pool has thrown in the worker, or why the worker has no answer, in words.
public struct WorkerError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The description of the error.
    public let description: String

    /// The error with that text.
    public init(description: String) { self.description = description }
}
