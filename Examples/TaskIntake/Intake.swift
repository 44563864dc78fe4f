import CourseKit
import Glibc
import GreenNet

/// A connection to Redis.  One green thread uses it at a time.
protocol RedisCaller {
    /// Sends all commands at once, and returns their replies.
    func call(_ commands: [[String]]) throws -> [Redis.Reply]
}

/// Takes tasks from the stream `tasks` as one of the group `workers`.
///
/// Redis remembers which worker has which task until that worker has confirmed it.  A task is confirmed and counted in one transaction, so that a worker that
/// dies has done either both or neither, and another one takes the task over.  No task is lost; one that two workers have done is told.
/// The counts, in the hash `tasks:done`, are kept for ever here; a service would remove old ones.
final class Intake {
    static let atOnce = 256
    /// Of a call.  A server that answers later hangs.
    static let limit = Duration.seconds(10)
    private let name: String
    /// The one waits for tasks, the other is for all that must not wait for it.
    private let (taking, telling): (any RedisCaller, any RedisCaller)
    private let turn = GreenLock()
    /// After so long without a word from a worker others take its tasks over.
    private let silence: Duration
    private let places = GreenSemaphore(atOnce)
    private var underWay: Set<String> = []
    private let finished = GreenQueue<Job>()
    private let hasFinished = GreenEvent()
    private var isStopping = false

    init(_ taking: any RedisCaller, _ telling: any RedisCaller, silence: Duration) {
        (self.taking, self.telling, self.silence) = (taking, telling, silence)
        var host = utsname()
        uname(&host)
        let node = withUnsafeBytes(of: &host.nodename) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        name = "\(node)-\(getpid())"
    }

    func stop() { isStopping = true }

    /// Returns after `stop()`, when the last task has been confirmed.
    func run() throws {
        let reply = try tell([["XGROUP", "CREATE", "tasks", "workers", "0", "MKSTREAM"]])[0]
        if case .failure(let text) = reply, !text.hasPrefix("BUSYGROUP") { throw Refused(text: text) }
        say("\(name) takes tasks")
        try withGreenGroup { group in
            group.spawn(name: "confirm") { try self.confirm() }
            group.spawn(name: "keep") { try self.keep(group) }
            while !isStopping {
                // As many as there are places, so that the others are left to other workers.
                try places.acquire()
                let count = 1 + places.available
                places.release()
                for job in try take(count) { try begin(job, group) }
            }
            for _ in 0..<Intake.atOnce { try places.acquire() }
            finished.shutDown()
            hasFinished.set()
        }
        // A worker without tasks need not be remembered.
        let left = try tell([["XPENDING", "tasks", "workers", "-", "+", "1", name]])[0]
        if left == .list([]) { _ = try tell([["XGROUP", "DELCONSUMER", "tasks", "workers", name]]) }
    }

    private func begin(_ job: Job, _ group: GreenGroup) throws {
        underWay.insert(job.id)
        try places.acquire()
        group.spawn(name: "job \(job.name)") {
            say("begin: job \(job.name)")
            // The work.
            try Greenlet.sleep(for: job.length)
            try self.finished.put(job)
        }
    }

    /// Confirms what has been done, many tasks at once where many have ended.
    private func confirm() throws {
        while let first = try finished.next() {
            var jobs = [first]
            while jobs.count < Intake.atOnce, let job = finished.tryTake() { jobs.append(job) }
            let counts = jobs.map { ["HINCRBY", "tasks:done", $0.id, "1"] }
            let confirmation = ["XACK", "tasks", "workers"] + jobs.map(\.id)
            let replies = try tell([["MULTI"]] + counts + [confirmation, ["EXEC"]])
            guard case .list(let times)? = replies.last, times.count == jobs.count + 1 else {
                throw Refused(text: "\(replies.last ?? .none)")
            }
            for (job, times) in zip(jobs, times) {
                say(times == .number(1) ? "done: job \(job.name)" : "done twice: job \(job.name)")
                underWay.remove(job.id)
                places.release()
            }
        }
    }

    /// Says again and again that this worker lives, and takes over what silent workers have left.
    private func keep(_ group: GreenGroup) throws {
        let milliseconds = "\(Int(silence / .milliseconds(1)))"
        while try !hasFinished.wait(until: .after(silence / 4)) {
            if !underWay.isEmpty {
                _ = try tell([["XCLAIM", "tasks", "workers", name, "0"] + underWay + ["JUSTID"]])
            }
            if isStopping || places.available == 0 { continue }
            let claim = ["XAUTOCLAIM", "tasks", "workers", name, milliseconds, "0", "COUNT", "\(places.available)"]
            guard case .list(let parts) = try tell([claim])[0], parts.count > 1 else { continue }
            // Those that come after `stop()` are left to others, who find them here.
            for job in try jobs(parts[1]) where !isStopping {
                say("taken over: job \(job.name)")
                try begin(job, group)
            }
        }
    }

    // MARK: Redis

    struct Refused: Error, CustomStringConvertible {
        let text: String
        var description: String { "Redis has refused: \(text)" }
    }

    /// Waits half a second for tasks, and returns at most `count`.
    private func take(_ count: Int) throws -> [Job] {
        let words = [
            "XREADGROUP", "GROUP", "workers", name, "COUNT", "\(count)", "BLOCK", "500", "STREAMS", "tasks", ">",
        ]
        switch try withTimeout(Intake.limit, { try self.taking.call([words])[0] }) {
        case .list(let streams):
            guard case .list(let stream)? = streams.first, stream.count == 2 else { return [] }
            return try jobs(stream[1])
        case .failure(let text): throw Refused(text: text)
        default: return []
        }
    }

    private func tell(_ commands: [[String]]) throws -> [Redis.Reply] {
        try turn.withLock { try withTimeout(Intake.limit) { try self.telling.call(commands) } }
    }

    /// Tasks without the two fields are put aside in the stream `tasks:refused`, and told.
    private func jobs(_ reply: Redis.Reply) throws -> [Job] {
        guard case .list(let entries) = reply else { return [] }
        return try entries.compactMap { entry in
            guard case .list(let parts) = entry, parts.count == 2, let id = parts[0].word else { return nil }
            if let job = Job(id, parts[1]) { return underWay.contains(id) ? nil : job }
            say("refused: \(id) has no job and seconds from 0 to 86400")
            let refusal = ["XADD", "tasks:refused", "*", "id", id]
            _ = try tell([["MULTI"], refusal, ["XACK", "tasks", "workers", id], ["EXEC"]])
            return nil
        }
    }
}
