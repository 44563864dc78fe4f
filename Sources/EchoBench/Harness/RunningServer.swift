import Glibc
import GreenNet

/// How a server is started: any program that says `listening on 127.0.0.1:PORT` on standard error, or has {port} among its arguments.
struct ServerStart {
    let name: String
    var words: [String]
    /// What else it says on standard error, each time followed by `127.0.0.1:PORT`.
    var alsoSays: [String] = []
    /// Seconds for it to listen.
    var patience = 30
    /// For which its processes have to end by themselves, after TERM.
    var endPatience = Duration.seconds(5)

    fileprivate static let listening = "listening on "

    /// Runs it while `body` does, placed by `placement`, and ends it with all that descends from it.
    func run<Value>(
        placement: [String], in group: ControlGroup? = nil, _ body: (RunningServer) throws -> Value
    ) throws -> Value {
        let told = words.contains { $0.contains("{port}") } ? try FreePort.find() : nil
        let own = words.map { $0.replacing("{port}", with: "\(told ?? 0)") }
        let all = (group?.entering ?? []) + placement + own
        return try withChild(all[0], Array(all.dropFirst()), options: .init(group: .ownSession)) { child in
            let log = ServerLog(child)
            defer { log.close() }
            let ports =
                try told.map { [try waitUntilTaken(port: $0, child, log)] }
                ?? (try log.ports(after: [ServerStart.listening] + alsoSays, of: self))
            let server = RunningServer(child, ports, group, endPatience)
            defer { server.stop() }
            return try body(server)
        }
    }

    private func waitUntilTaken(port: Int, _ child: ChildProcess, _ log: ServerLog) throws -> Int {
        let deadline = Deadline.after(.seconds(patience))
        while !FreePort.isTaken(port) {
            if deadline.hasPassed { throw BenchFailure("\(name) does not listen") }
            if (try? child.wait(until: .after(.milliseconds(20)))) != nil { throw BenchFailure("\(name) has ended") }
        }
        return port
    }
}

/// A server that listens.
final class RunningServer {
    let pid: pid_t
    /// Of what it said, in the order that it was asked for: the service's port first.
    let ports: [Int]
    private let child: ChildProcess
    private let group: ControlGroup?
    private let patience: Duration

    fileprivate init(_ child: ChildProcess, _ ports: [Int], _ group: ControlGroup?, _ patience: Duration) {
        (self.child, self.ports, self.group, self.patience) = (child, ports, group, patience)
        pid = child.pid
    }

    var port: Int { ports[0] }
    var tree: ProcessTree { ProcessTree(pid) }
    var memory: MemoryUse { MemoryUse(of: tree) }

    /// In nanoseconds.
    var cpuTime: Int { group?.cpuTime ?? tree.cpuTime }

    func send(_ signal: Int32) { child.send(signal) }

    /// TERM first; what is left then is killed.
    fileprivate func stop() {
        let tree = tree
        child.send(SIGTERM)
        let deadline = Deadline.after(patience)
        // A kill of the benchmark leaves no server behind.
        try? shielded {
            _ = try? child.wait(until: deadline)
            while !tree.isGone, !deadline.hasPassed { try Greenlet.sleep(for: .milliseconds(10)) }
        }
        tree.signal(SIGKILL)
    }
}
