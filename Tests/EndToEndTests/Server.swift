import Glibc
import GreenNet
import TestSupport
import Testing

/// A running echo-server.
struct Server: Sendable {
    let program: Program
    let model: ServerModel
    /// Where the server listens, from its log.
    let address: SocketAddress
    /// The server's resources while it has no client.
    let idle: ProcessTree

    /// Starts a server on a free port of 127.0.0.1, unless `arguments` say otherwise, and waits until it listens.
    static func start(
        _ model: ServerModel = .green, _ arguments: [String] = [],
        adjust: (inout Program.Launch) -> Void = { _ in }
    ) throws -> Server {
        let program = try Program(launch(model, arguments, adjust: adjust))
        do {
            let line = try program.waitForLine(containing: "listening on")
            // The last line before the server waits.
            try program.waitForLine(containing: "connection limit")
            waitForTakeOver(arguments)
            let server = Server(
                program: program, model: model, address: try address(in: line), idle: try program.tree())
            return try server.whenUp()
        } catch {
            program.end()
            throw error
        }
    }

    /// Its socket is made after that line, and would be missing from the resources of the idle server.
    private static func waitForTakeOver(_ arguments: [String]) {
        guard let place = arguments.firstIndex(of: "--take-over") else { return }
        _ = eventually(within: .seconds(5)) { access(arguments[place + 1], F_OK) == 0 }
    }

    /// The server's processes with their resources, once each hub and each worker runs.
    func whenUp() throws -> Server {
        var idle = idle
        let isUp = try eventually(within: .seconds(5)) {
            idle = try program.tree()
            return isComplete(idle)
        }
        if !isUp { throw program.failure("not all hubs and workers have come up: \(idle)") }
        return Server(program: program, model: model, address: address, idle: idle)
    }

    /// Whether it forks for itself because a call has failed for its fork server, or at its start.
    var hasLostForkServer: Bool {
        model.hasForkServer && program.standardError.lines.contains { $0.contains("forking from this process") }
    }

    private func isComplete(_ tree: ProcessTree) -> Bool {
        let workers = tree.children
        // Where the log has lost the line, there is one.
        let listeners = max(1, program.standardError.lines.count { $0.contains("listening on") })
        // A worker that could not start has closed some of its descriptors when it ends, and is replaced.
        return tree.root.bells == model.hubs + model.poolBells && tree.root.threads >= model.leastThreads
            && workers.count == (hasLostForkServer ? 0 : model.workers)
            && Set(workers.map { $0.descriptors - $0.hubsWithPipe }).count <= 1
            && workers.allSatisfy { worker in
                // Hubs of a worker run beside its main OS thread.  A worker without hubs has the standard descriptors and the listeners, and more
                // until it has closed its parent's.  A fork server has the standard descriptors and its channel.
                model.kind == .green
                    ? worker.bells == model.hubsOfWorker && worker.threads == model.hubsOfWorker + 1
                    : worker.threads == 1 && worker.descriptors == 3 + (model.hasForkServer ? 1 : listeners)
            }
    }

    /// How to start the server.
    static func launch(
        _ model: ServerModel = .green, _ arguments: [String] = [],
        adjust: (inout Program.Launch) -> Void = { _ in }
    ) throws -> Program.Launch {
        let hasPlace = ["--port", "--unix-socket", "--listen"].contains { arguments.contains($0) }
        let place = hasPlace ? [] : ["--port", "0"]
        // Standard error is a pipe, for which the default is JSON.
        let format = arguments.contains("--log-format") ? [] : ["--log-format", "text"]
        var launch = try Program.built("echo-server", place + format + model.arguments + arguments)
        if model.hasForkServer { launch.path = try ForkServerInstallation.server.get() }
        adjust(&launch)
        return launch
    }

    /// Reads the address from the first line of the log, text or JSON.
    static func address(in line: String) throws -> SocketAddress {
        guard let match = line.firstMatch(of: /listening on ([^ "]+)/) else { throw Unexpected(line) }
        let text = String(match.1)
        if text.hasPrefix("/") || text.hasPrefix("@") { return .unix(path: text) }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]),
            let address = SocketAddress(ip: String(text[..<colon].filter { !"[]".contains($0) }), port: port)
        else { throw Unexpected(line) }
        return address
    }

    var port: UInt16 { get throws { try #require(address.port) } }

    /// The log since the server began to listen.
    var log: [String] {
        program.standardError.lines.filter { !$0.contains("listening on") && !$0.contains("connection limit") }
    }

    // MARK: Leftovers

    /// Waits until the server has only the descriptors, threads and children that `clients` need; others may have left a moment ago.
    func expectOnly(clients: Int, sourceLocation: SourceLocation = #_sourceLocation) throws {
        var tree = idle
        let isSo = try eventually(within: .seconds(5)) {
            tree = try program.tree()
            return tree.descriptors == idle.descriptors + clients * model.descriptorsPerClient
                && threads(clients).contains(tree.threads)
                && tree.children.count == idle.children.count + (model.forksForClients ? clients : 0)
        }
        if isSo { return }
        Issue.record("With \(clients) clients: \(tree); without: \(idle)", sourceLocation: sourceLocation)
    }

    private func threads(_ clients: Int) -> ClosedRange<Int> {
        let count = idle.threads + (model.startsThreadsForClients || model.forksForClients ? clients : 0)
        // ThreadSanitizer starts a thread of its own together with the program's first.
        return count...count + model.mostKeptThreads + (Sanitizer.active == .thread ? 1 : 0)
    }

    /// Sends TERM to a server that has no clients any more, and expects an orderly end.
    fileprivate func expectCleanEnd(_ sourceLocation: SourceLocation) throws {
        if !program.hasEnded {
            try expectOnly(clients: 0, sourceLocation: sourceLocation)
            let children = try program.status().children
            program.send(SIGTERM)
            #expect(try program.waitForExit() == .status(0), sourceLocation: sourceLocation)
            #expect(children.allSatisfy { ProcessStatus($0) == nil }, "a child is left", sourceLocation: sourceLocation)
        }
        let log = program.standardError.textToEnd()
        for sign in ["Sanitizer", "Fatal error", "GreenNet: ", "*** "] {
            #expect(!log.contains(sign), "\(log)", sourceLocation: sourceLocation)
        }
        #expect(program.standardOutput.textToEnd() == "", sourceLocation: sourceLocation)
    }
}

/// Starts a server and runs `body` on a fresh hub beside it.
///
/// Where `body` leaves the server running, it must then have the descriptors, threads and children that it had at first, and a TERM
/// must end it with status 0.  In any case the server is ended.
func withServer(
    _ model: ServerModel = .green, _ arguments: [String] = [],
    limit: Duration = .seconds(60),
    adjust: (inout Program.Launch) -> Void = { _ in },
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: @escaping @Sendable (Server) throws -> Void
) throws {
    let server = try Server.start(model, arguments, adjust: adjust)
    defer { server.program.end() }
    do {
        try onHub(limit, sourceLocation: sourceLocation) { try body(server) }
        try server.expectCleanEnd(sourceLocation)
    } catch let error where !(error is ProgramFailure) {
        // The server's log explains most failures.
        throw server.program.failure("\(error)")
    }
}

extension Server {
    /// For a server that logs nothing: waits until it answers at `address`.
    static func waitUntilItAnswers(at address: SocketAddress) throws {
        let answers = try eventuallyOnHub {
            guard let connection = try? Connection.connect(to: address) else { return false }
            defer { connection.close() }
            try connection.expect("ANYBODY?", to: "anybody?")
            return true
        }
        if !answers { throw Unexpected("no answer at \(address)") }
    }
}
