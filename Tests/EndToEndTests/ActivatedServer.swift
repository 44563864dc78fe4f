import Glibc
import GreenNet
import TestSupport
import Testing

/// An echo-server that was given its listening sockets, as a service manager gives them.
final class ActivatedServer: Sendable {
    let pid: pid_t
    /// The file to which the server writes its log.
    private let log: String

    /// Starts it with `sockets` as descriptors 3, 4 and so on, and its log in the file `log`.
    ///
    /// A shell executes the program, since the variables must contain the program's process id.
    init(
        _ arguments: [String], sockets: [Int32], log: String, variables: String = "LISTEN_PID=$$ LISTEN_FDS=\"$N\""
    ) throws {
        let program = try Program.built("echo-server", arguments)
        let script =
            "exec 2>>\"$LOG\" </dev/null >/dev/null && export \(variables) && unset LOG N && exec \"$0\" \"$@\""
        let words = ["/bin/sh", "-c", script, program.path] + program.arguments
        pid = try Program.spawn(
            words,
            ["LOG=\(log)", "N=\(sockets.count)", "ECHO_SERVER_LOG_FORMAT=text"]
                + Sanitizer.programOptions.map { "\($0)=\($1)" },
            descriptors: [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] + sockets)
        self.log = log
    }

    func send(_ signal: Int32) { kill(pid, signal) }

    /// All lines so far, with the lines of earlier servers that wrote to the same log.
    var lines: [String] { (ProcessStatus.contents(of: log) ?? "").split(separator: "\n").map(String.init) }

    /// Waits until the server logs that it listens, while the hub's other green threads go on.
    func waitUntilReady() throws {
        let isReady = try eventuallyOnHub(within: .seconds(10)) {
            lines.contains { $0.contains("listening on") && $0.contains("pid=\(pid)") }
        }
        if !isReady { throw Unexpected("it does not listen: \(lines)") }
    }

    /// Waits for the server's end, while the hub's other green threads go on.
    func waitForExit() throws -> Program.Exit {
        var status: Int32 = 0
        guard try eventuallyOnHub(within: .seconds(15), { waitpid(pid, &status, WNOHANG) == pid }) else {
            send(SIGKILL)
            waitpid(pid, &status, 0)
            throw Unexpected("it does not end: \(lines)")
        }
        return Program.Exit(waitStatus: status)
    }

    /// Sends TERM as a service manager does, and expects exit status 0.
    func stop() throws {
        send(SIGTERM)
        let exit = try waitForExit()
        if exit != .status(0) { throw Unexpected("it ended with \(exit): \(lines)") }
    }
}

/// The listening sockets of a service manager, with a directory for their paths and the log.
struct ManagedSockets: Sendable {
    let sockets: [ListeningSocket]
    let directory: String

    var descriptors: [Int32] { sockets.map(\.descriptor) }
    var log: String { "\(directory)/log" }

    /// Gives `body` listeners on `addresses`, where a unix address is the name of a file in a directory of their own.  They stay open until `body`
    /// returns: until then clients that connect are queued.
    static func with(
        _ addresses: [SocketAddress] = [SocketAddress(ip: "127.0.0.1", port: 0)!],
        _ body: @escaping @Sendable (ManagedSockets) throws -> Void
    ) throws {
        try withTemporaryPath("log") { log in
            let directory = String(log.dropLast(4))
            let sockets = try addresses.map { address in
                let path: SocketAddress =
                    if case .unix(let name) = address { .unix(path: "\(directory)/\(name)") } else { address }
                return try ListeningSocket(on: path, backlog: 4096)
            }
            defer {
                for socket in sockets {
                    socket.close()
                    socket.removePath()
                }
            }
            try onHub(.seconds(60)) { try body(ManagedSockets(sockets: sockets, directory: directory)) }
            // The service itself does not report a worker that crashes at its end.
            for sign in ["Sanitizer", "Fatal error", "GreenNet: ", "*** "] {
                let log = ProcessStatus.contents(of: log) ?? ""
                #expect(!log.contains(sign), "\(log)")
            }
        }
    }

    /// `names` are the sockets' names; nil if they have none.
    func start(
        _ model: ServerModel, _ arguments: [String] = [], names: [String]? = nil
    ) throws -> ActivatedServer {
        let names = names.map { " LISTEN_FDNAMES=\($0.joined(separator: ":"))" } ?? ""
        return try ActivatedServer(
            model.arguments + arguments, sockets: descriptors, log: log,
            variables: "LISTEN_PID=$$ LISTEN_FDS=\"$N\"" + names)
    }

    /// Sends `text` over a connection of its own to one of the sockets, ends that side, and returns all that comes back.
    func answer(to text: String, at index: Int = 0) throws -> String {
        let client = try Connection.connect(to: sockets[index].address, until: .after(.patient(10)))
        defer { client.close() }
        try client.sendAll(Array(text.utf8))
        try client.shutdownSending()
        return String(decoding: try client.receiveToEnd(), as: UTF8.self)
    }
}

/// As `withServer`, with `variables` in the server's environment.
func withServer(
    variables: [String: String], sourceLocation: SourceLocation = #_sourceLocation,
    _ body: @escaping @Sendable (Server) throws -> Void
) throws {
    func add(_ launch: inout Program.Launch) { for (name, value) in variables { launch.environment[name] = value } }
    try withServer(adjust: add, sourceLocation: sourceLocation, body)
}
