import Glibc
import GreenNet
import ProgramKit
import TestSupport
import Testing

extension EndToEnd {
    /// Many clients.
    @Suite(.serialized) struct CrowdTests {
        @Test(arguments: ServerModel.all)
        func `a crowd of clients at once each get their own bytes`(model: ServerModel) throws {
            let count = min(1000, model.manyClients)
            OpenFiles.raiseLimit()
            try withServer(model) { server in
                // All clients are connected before the first of them sends.
                let clients = try inParallel(count) { _ in try server.connect() }
                try inParallel(count) { number in
                    defer { clients[number].close() }
                    try clients[number].exchange(8192, of: .upper, from: number * 977) { 1000 + number }
                }
            }
        }

        @Test(arguments: ServerModel.unbounded)
        func `thousands of connections can be open at once, and each is answered`(model: ServerModel) throws {
            OpenFiles.raiseLimit()
            let count = min(model.manyClients, OpenFiles.limit - 200)
            if count < model.manyClients {
                print("Only \(count) connections, since a process may have \(OpenFiles.limit) descriptors here.")
            }
            // The limit is lower than the server needs, so that it must raise the limit itself.
            try withServer(model, limit: .seconds(60), adjust: { $0.setup = "ulimit -Sn 256" }) { server in
                let clients = try inParallel(count) { number in
                    let client = try server.connect()
                    try client.expect("CLIENT \(number)", to: "client \(number)")
                    return client
                }
                try server.expectOnly(clients: count)
                try tellMemory(server, clients: count)
                try inParallel(count) { number in
                    defer { clients[number].close() }
                    try clients[number].expect("CLIENT \(number) AGAIN", to: "client \(number) again")
                }
            }
        }

        // Without optimisation, the frames of a connection that waits don't fit into one page.
        #if DEBUG
        private static let (greenLimit, threadLimit) = (10 << 10, 28 << 10)
        #else
        private static let (greenLimit, threadLimit) = (6 << 10, 24 << 10)
        #endif

        private func tellMemory(_ server: Server, clients count: Int) throws {
            let memory = try server.program.tree().residentMemory
            let each = (memory - server.idle.residentMemory) / count
            print(
                "\(count) connections, \(server.model.testDescription): \(memory >> 20) MiB resident, \(each) bytes each"
            )
            // A page of stack for a green thread, two and more for an OS thread, and the connection's own memory; most pages of a process are
            // shared, and are counted too.
            let limit = server.model.kind == .green ? CrowdTests.greenLimit : CrowdTests.threadLimit
            if Sanitizer.active == .none, !server.model.forksForClients { #expect(each < limit) }
        }

        @Test(arguments: ServerModel.all)
        func `clients that come and go at once leave nothing behind`(model: ServerModel) throws {
            let each = model.kind == .process || Sanitizer.active != .none ? 50 : 500
            try withServer(model) { server in
                try inParallel(10) { _ in
                    for _ in 0..<each { try server.connect().close() }
                }
                try server.expectOnly(clients: 0)
                #expect(server.log.isEmpty)
                try #expect(server.answer(to: "well?") == "WELL?")
            }
        }

        // MARK: Too few descriptors

        /// Each process has descriptors of its own.
        @Test(.enabled(if: OpenFiles.canLimitOthers, "no prlimit here"), arguments: [ServerModel.green, .thread])
        func `without descriptors the server pauses, logs it once, and serves the others when clients leave`(
            model: ServerModel
        ) throws {
            try withServer(model, adjust: { $0.setup = "ulimit -n 200" }) { server in
                // After the start, when the server has read its limits.
                try OpenFiles.setLimit(of: server.program, to: 30)
                let room = 30 - server.idle.root.descriptors
                let crowd = try Crowd(server, 100)
                defer { crowd.leave() }
                try server.program.waitOnHub(forLineContaining: "not accepting for now")
                try #expect(eventuallyOnHub { crowd.answered.count == room })
                try expectIdle(server.program)
                #expect(server.log.count == 1)
                #expect(crowd.answered.count == room)
                try crowd.expectAllAnswered()
                // Logged with the first connection that is accepted a second after the pause.
                let isTold = try eventuallyOnHub {
                    try server.answer(to: "again?") == "AGAIN?"
                        && server.log.contains { $0.contains("accepting again") }
                }
                #expect(isTold)
                #expect(server.log.count == 2)
            }
        }

        @Test(.enabled(if: OpenFiles.canLimitOthers, "no prlimit here"), arguments: ServerModel.all)
        func `without descriptors it pauses, uses no processor time, and serves all when it has some again`(
            model: ServerModel
        ) throws {
            try withServer(model) { server in
                let processes = try server.program.processes()
                // Below the descriptors in use, no number is free.
                for process in processes { try OpenFiles.setSoftLimit(of: process, to: 3) }
                let crowd = try Crowd(server, 20)
                defer { crowd.leave() }
                try server.program.waitOnHub(forLineContaining: "not accepting for now")
                try expectIdle(server.program)
                #expect(crowd.answered.isEmpty)
                for process in processes { try OpenFiles.setSoftLimit(of: process, to: 1000) }
                try crowd.expectAllAnswered()
            }
        }

        @Test(arguments: ServerModel.all)
        func `with few descriptors from the start, some clients are served at once and the others later`(
            model: ServerModel
        ) throws {
            try withServer(model, adjust: { $0.setup = "ulimit -n 40" }) { server in
                let crowd = try Crowd(server, 100)
                defer { crowd.leave() }
                try crowd.expectAllAnswered()
                // If there are several processes, one may get more clients than it has descriptors for, and logs that.
                if model != .greenProcesses { #expect(server.log.isEmpty) }
            }
        }

        /// Expects that for a while the server uses less than a tenth of a processor.
        private func expectIdle(_ program: Program) throws {
            let (start, before) = (Deadline.now, try program.tree().processorTime)
            try Greenlet.sleep(for: .milliseconds(500))
            let used = try program.tree().processorTime - before
            #expect(used < (Deadline.now - start) / 10)
        }

        @Test(arguments: ServerModel.all)
        func `a full server leaves further clients in the queue and serves them when others leave`(
            model: ServerModel
        ) throws {
            let places = min(10, model.clientsAtOnce)
            try withServer(model, ["--max-connections", "\(places)"]) { server in
                let crowd = try Crowd(server, 60)
                defer { crowd.leave() }
                try #expect(eventuallyOnHub { crowd.answered.count == places })
                try expectIdle(server.program)
                #expect(crowd.answered.count == places)
                try crowd.expectAllAnswered()
                #expect(server.log.isEmpty)
            }
        }

        @Test(arguments: ServerModel.all)
        func `a full server with overflow reject closes further connections`(model: ServerModel) throws {
            // A pool has one more context, to close further connections.
            let places = model.isPool ? 3 : 10
            try withServer(model, ["--max-connections", "\(places)", "--overflow", "reject"]) { server in
                let clients = try inParallel(places) { _ in
                    let client = try server.connect()
                    try client.expect("HELLO", to: "hello")
                    return client
                }
                for _ in 0..<20 {
                    let client = try server.connect()
                    defer { client.close() }
                    try #expect(client.receive() == nil)
                }
                clients[0].close()
                try #expect(eventuallyOnHub { (try? server.answer(to: "room")) == "ROOM" })
                for client in clients {
                    client.close()
                }
            }
        }
    }
}

/// Clients that connect at once, send a request, and wait for the answer.
private final class Crowd {
    private let connections: [Connection]
    private(set) var answered: Set<Int> = []
    private var waiting: [Greenlet<Void>] = []

    init(_ server: Server, _ count: Int) throws {
        connections = try (0..<count).map { _ in try server.connect() }
        waiting = connections.indices.map { number in
            spawn(name: "client \(number)") { [unowned self] in
                try connections[number].expect("CLIENT \(number)", to: "client \(number)")
                answered.insert(number)
            }
        }
    }

    /// Closes each client that has its answer, so that the server serves the next one.
    func expectAllAnswered() throws {
        let areAnswered = try eventuallyOnHub(within: .seconds(20)) {
            for number in answered { connections[number].close() }
            return answered.count == connections.count
        }
        #expect(areAnswered, "\(answered.count) of \(connections.count) were")
    }

    func leave() {
        for client in waiting { client.kill() }
        for client in waiting { _ = try? client.value() }
        for connection in connections { connection.close() }
    }
}

/// The number of descriptors that a process may have.
enum OpenFiles {
    static var limit: Int { DescriptorLimit.current }

    /// Sets the limit for this process, up to the hard limit.
    static func raiseLimit() { DescriptorLimit.raise() }

    static let canLimitOthers =
        (try? Program.run(Program.Launch("/usr/bin/prlimit", ["--version"])))?.exit == .status(0)

    static func setLimit(of program: Program, to count: Int) throws { try set(program.pid, "\(count):\(count)") }

    /// A soft limit, which may be raised again.
    static func setSoftLimit(of process: pid_t, to count: Int) throws { try set(process, "\(count):") }

    private static func set(_ process: pid_t, _ limits: String) throws {
        let launch = Program.Launch("/usr/bin/prlimit", ["--pid=\(process)", "--nofile=\(limits)"])
        let result = try Program.run(launch)
        if result.exit != .status(0) { throw Unexpected("prlimit: \(result.error)") }
    }
}
