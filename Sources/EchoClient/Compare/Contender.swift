import Glibc
import GreenNet
import ProgramKit

/// A server that takes part in a comparison.
struct Contender: Equatable, Sendable {
    let name: String
    /// What one connection is there, in words for everybody.
    let meaning: String
    let command: [String]
    /// How many connections it can serve at once.
    var places: Int?
    /// Its command chooses a port by `{port}`; else it says which one it has taken.
    var isOther = false

    /// echo-server in each of its models.
    static func models(_ server: String, workers: Int, pool: Int) -> [Contender] {
        func model(_ name: String, _ meaning: String, places: Int? = nil, _ options: String...) -> Contender {
            Contender(name: name, meaning: meaning, command: [server] + options, places: places)
        }
        return [
            model(
                "green",
                "a green thread: it has its own stack, and all of them share one OS thread, which runs those that are ready"
            ),
            model(
                "green, \(workers) workers", "a green thread on one of \(workers) OS threads", "--workers", "\(workers)"
            ),
            model("thread", "an OS thread of its own, which the kernel schedules", "--model", "thread"),
            model(
                "thread pool", "one of \(pool) OS threads, each of which serves one client after another", places: pool,
                "--model", "thread", "--pool-size", "\(pool)"),
            model("process", "a forked process of its own", "--model", "process"),
            model(
                "process pool", "one of \(pool) processes, each of which serves one client after another", places: pool,
                "--model", "process", "--pool-size", "\(pool)"),
        ]
    }

    /// From `NAME=COMMAND`, for the shell.  Nil where there is no name or no command, or a control character in the name, which is shown.
    static func other(_ text: String) -> Contender? {
        let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2, parts[0].escaped == parts[0] else { return nil }
        return Contender(
            name: parts[0], meaning: "another server: \(parts[1].escaped)", command: ["/bin/sh", "-c", parts[1]],
            isOther: true)
    }
}

/// A contender that runs.  Belongs to the hub that started it; the caller of `init` calls `stop()`.
final class RunningContender {
    let address: SocketAddress
    private let process: PipedProgram
    private let listeners: [Greenlet<Void>]
    private let isOther: Bool

    private static let patience = Duration.seconds(10)

    /// Starts it, and waits until it accepts connections.
    init(_ contender: Contender) throws {
        isOther = contender.isOther
        let port = contender.isOther ? try RunningContender.freePort() : 0
        process = try RunningContender.launch(contender, port)
        do {
            address =
                try contender.isOther
                ? RunningContender.waitUntilItAnswers(contender, process, port)
                : RunningContender.readAddress(contender, process)
        } catch {
            process.end()
            throw error
        }
        // The rest of its output is read and dropped: a full pipe would stop it.
        listeners = PipedProgram.Output.allCases.map { [process] output in
            spawn(name: "log of \(contender.name)") { while try process.readLine(output) != nil {} }
        }
    }

    var tree: ProcessTree { isOther ? ProcessTree(below: process.pid) : ProcessTree(process.pid) }

    /// Sends TERM, and after ten seconds KILL.
    func stop() {
        // `attend` ends all processes that another server's command has started.
        if isOther { process.closeInput() } else { process.send(SIGTERM) }
        _ = try? shielded { try process.wait(until: .after(.seconds(10))) }
        for listener in listeners {
            listener.kill()
            _ = try? shielded { try listener.value() }
        }
        process.end()
    }

    private static func launch(_ contender: Contender, _ port: UInt16) throws -> PipedProgram {
        let words =
            contender.isOther
            ? [ProgramArguments.ownPath, "attend", "--"]
                + contender.command.map { $0.exchanging("{port}", for: "\(port)") }
            : contender.command + [
                "--host", "127.0.0.1", "--port", "0", "--log-format", "text", "--log-level", "notice",
            ]
        return try PipedProgram(
            words, environment: ["PORT": "\(port)"], capturing: [.standardOutput, .standardError],
            hasWorkAtEnd: contender.isOther)
    }

    private static func readAddress(_ contender: Contender, _ process: PipedProgram) throws -> SocketAddress {
        let deadline = Deadline.after(patience)
        var last = "it exited"
        while let line = try process.readLine(.standardError, until: deadline) {
            last = line
            let words = line.split(separator: " ").map(String.init)
            guard let place = words.firstIndex(of: "on"), line.holds("listening on ") else { continue }
            let parts = words[place + 1].split(separator: ":").map(String.init)
            if parts.count == 2, let port = UInt16(parts[1]), let address = SocketAddress(ip: parts[0], port: port) {
                return address
            }
        }
        throw Failure.notListening(contender.name, last)
    }

    private static func waitUntilItAnswers(
        _ contender: Contender, _ process: PipedProgram, _ port: UInt16
    ) throws -> SocketAddress {
        let address = SocketAddress.loopback(port: port)
        let deadline = Deadline.after(patience)
        while !deadline.hasPassed {
            if process.hasEnded {
                throw Failure.notListening(contender.name, try process.readLine(.standardError) ?? "it exited")
            }
            if let connection = try? Connection.connect(to: address, until: deadline) {
                connection.close()
                return address
            }
            try Greenlet.sleep(for: .milliseconds(20))
        }
        throw Failure.notListening(
            contender.name, "no server accepts connections on port \(port) within \(patience.text)")
    }

    /// A port that is free now.  Another program may take it before the contender does.
    private static func freePort() throws -> UInt16 {
        let listener = try Listener(on: .loopback(port: 0))
        defer { listener.close() }
        return listener.address.port!
    }
}
