import Glibc
import GreenNet
import Synchronization
import TestSupport
import Testing

extension EndToEnd {
    /// Each call of the server to the system fails once, at every place at which it is made.
    @Suite(.serialized, .enabled(if: Sanitizer.active == .none, "a sanitizer makes calls of its own"))
    struct FailingCallTests {
        @Test(arguments: ServerModel.all)
        func `whichever call fails, the server refuses to start or continues, and loses at most that one connection`(
            model: ServerModel
        ) throws {
            let faults = Mutex(Fault.all[...])
            // Hundreds of servers are started, each of which takes up to a second of processor time on a slow machine.
            let limit = Duration.seconds(400)
            try onOSThread(limit) {
                // Several trials run at once: a trial mostly waits.
                let sweeps = (0..<4).map { _ in
                    TestThread { while let fault = faults.withLock({ $0.popFirst() }) { sweep(model, fault) } }
                }
                for sweep in sweeps { try sweep.value(within: limit) }
            }
        }

        @Test(arguments: [(Faults.Call.listen, "listen on"), (.getsockname, "read the local address of")])
        func `a unix socket that is bound but cannot be listened on leaves no path behind`(
            call: Faults.Call, words: String
        ) throws {
            try withTemporaryPath { path in
                let faults = try Faults()
                faults.fail(call, 1...1, with: ENOBUFS)
                var launch = try Program.built("echo-server", ["--unix-socket", path])
                faults.preload(&launch)
                let result = try Program.run(launch)
                #expect(result.exit == .status(71), "\(result.error)")
                #expect(
                    result.error.contains("cannot \(words) \(path): no buffer space available (ENOBUFS)"),
                    "\(result.error)")
                #expect(access(path, F_OK) != 0)
            }
        }
    }
}

/// The first such call fails, then the second, and so on, until the server no longer makes that many.
private func sweep(_ model: ServerModel, _ fault: Fault) {
    do {
        for number in 1...Trial.mostCalls {
            if try !Trial(model: model, fault: fault, number: number).run() { return }
        }
        Issue.record("\(fault): it comes to no end")
    } catch {
        Issue.record("\(error)")
    }
}

/// A call and how it fails.
struct Fault: Sendable, CustomStringConvertible {
    let call: Faults.Call
    let error: Int32

    init(_ call: Faults.Call, _ error: Int32) { (self.call, self.error) = (call, error) }

    /// Interruptions, which may come anywhere and often, are in `ShortCallTests`.
    static let all = [
        Fault(.accept4, ECONNABORTED), Fault(.accept4, EMFILE), Fault(.recv, ECONNRESET), Fault(.recv, EAGAIN),
        Fault(.send, EPIPE), Fault(.send, EAGAIN), Fault(.fork, EAGAIN), Fault(.threadCreate, EAGAIN),
        Fault(.mmap, ENOMEM), Fault(.madvise, ENOMEM), Fault(.epollCreate1, EMFILE), Fault(.epollControl, ENOSPC),
        Fault(.eventfd, EMFILE), Fault(.socket, EMFILE), Fault(.bind, EADDRINUSE), Fault(.listen, EADDRINUSE),
        Fault(.setsockopt, ENOMEM), Fault(.getsockname, ENOBUFS), Fault(.getsockopt, ENOBUFS), Fault(.fcntl, EMFILE),
        Fault(.closeRange, ENOSYS), Fault(.ppoll, ENOMEM), Fault(.pwritev2, ENOSPC),
    ]

    var description: String { "\(call.rawValue) \(SystemError(error).name)" }
}

/// One server from its start to its end, with one call that fails.
private struct Trial: Sendable {
    let model: ServerModel
    let fault: Fault
    /// The number of the call that fails, counted from 1.
    let number: Int

    /// No server makes more calls of one kind here.
    static let mostCalls = 200
    private static let refusals: Set<Program.Exit> = [.status(69), .status(71), .status(77), .status(78)]

    /// Whether a line of the log may be lost: the line with the server's address, or the last.
    private var costsLines: Bool { fault.call == .pwritev2 }

    /// Returns whether the server made `number` such calls.
    func run() throws -> Bool {
        try withTemporaryPath { path in
            let faults = try Faults()
            faults.fail(fault.call, number...number, with: fault.error)
            let program = try Program(launch(faults, path))
            defer { program.end() }
            do {
                if let server = try start(program, path) { try serve(server) }
            } catch {
                throw program.failure("\(fault), call \(number): \(error)")
            }
            return faults.made(fault.call) >= number
        }
    }

    private func launch(_ faults: Faults, _ path: String) throws -> Program.Launch {
        try Server.launch(model, costsLines ? ["--unix-socket", path] : []) { launch in
            faults.preload(&launch)
            launch.environment["SWIFT_BACKTRACE"] = "enable=no"
        }
    }

    /// Nil if the server has refused to start with a proper error.
    private func start(_ program: Program, _ path: String) throws -> Server? {
        if costsLines {
            try Server.waitUntilItAnswers(at: .unix(path: path))
            return try server(program, .unix(path: path))
        }
        let hasDecided = eventually(within: .seconds(15)) {
            program.hasEnded || program.standardError.lines.contains { $0.contains("connection limit") }
        }
        if !hasDecided { throw Unexpected("it neither starts nor ends") }
        if !program.hasEnded {
            return try server(program, Server.address(in: program.waitForLine(containing: "listening on ")))
        }
        try expectRefusal(program)
        return nil
    }

    private func server(_ program: Program, _ address: SocketAddress) throws -> Server {
        try Server(program: program, model: model, address: address, idle: program.tree()).whenUp()
    }

    /// Expects one line with the reason, and a status from sysexits.h.
    private func expectRefusal(_ program: Program) throws {
        let (exit, text) = (try program.waitForExit(), program.standardError.textToEnd())
        guard Trial.refusals.contains(exit) else { throw Unexpected("it ended with \(exit)") }
        let lines = text.split(separator: "\n")
        if lines.count != 1 || !text.hasPrefix("echo-server: ") { throw Unexpected("it said '\(text)'") }
    }

    private func serve(_ server: Server) throws {
        defer { Hub.current.close() }
        var lost = 0
        let client = try server.connect()
        defer { client.close() }
        if try !client.isAnswered("FIRST", to: "first") { lost += 1 }
        for number in 0..<4 where try !server.isServed("client \(number)") { lost += 1 }
        if lost == 0, try !client.isAnswered("LAST", to: "last") { lost += 1 }
        if lost > 1 { throw Unexpected("\(lost) clients were lost") }
        client.close()
        try server.endCleanly(saysCounts: !costsLines)
    }
}

extension Server {
    fileprivate func isServed(_ text: String) throws -> Bool {
        let client = try connect()
        defer { client.close() }
        return try client.isAnswered(text.uppercased(), to: text)
    }

    /// Expects that nothing is left of the clients, and after a TERM nothing of the server.
    fileprivate func endCleanly(saysCounts: Bool) throws {
        var tree = idle
        let isClean = try eventually {
            tree = try program.tree()
            return tree.descriptors <= idle.descriptors && tree.threads <= idle.threads + model.mostKeptThreads
                && (tree.children.count == idle.children.count || hasLostForkServer && tree.children.isEmpty)
        }
        if !isClean { throw Unexpected("something is left: \(tree); before: \(idle)") }
        let children = tree.root.children
        program.send(SIGTERM)
        let exit = try program.waitForExit(within: .seconds(5))
        if exit != .status(0) { throw Unexpected("it ended with \(exit)") }
        if !eventually({ children.allSatisfy { ProcessStatus($0) == nil } }) { throw Unexpected("a child is left") }
        let log = program.standardError.textToEnd()
        for sign in ["Fatal error", "killed by signal"] where log.contains(sign) { throw Unexpected(sign) }
        let counts = lastCounts
        if counts == nil && saysCounts { throw Unexpected("it did not tell its counters") }
        if let counts, counts["open"] != 0 || counts["accepted"] != counts.ended {
            throw Unexpected("the counters don't add up")
        }
    }
}

extension Connection {
    /// Whether the right answer comes; false if the connection ends.  Anything else is an error.
    fileprivate func isAnswered(_ answer: String, to text: String) throws -> Bool {
        let limit = Deadline.after(.seconds(5))
        var received: [UInt8] = []
        do throws(NetError) {
            try sendAll(Array(text.utf8), until: limit)
            received = try receive(exactly: answer.utf8.count, until: limit)
        } catch {
            if error.isPeerGone { return false }
            throw error
        }
        if !answer.utf8.starts(with: received) {
            throw Unexpected("'\(String(decoding: received, as: UTF8.self))' came")
        }
        return received.count == answer.utf8.count
    }
}
