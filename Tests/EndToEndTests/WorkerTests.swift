import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// The processes and OS threads that serve: which of them serves a client, and what happens when one dies or can't be started.
    @Suite(.serialized) struct WorkerTests {
        @Test(arguments: ServerModel.testable(.threadPool, .processPool))
        func `a pool of four serves four of six clients, and the other two when a place is free`(
            model: ServerModel
        ) throws {
            try withServer(model) { server in
                let clients = try (0..<6).map { _ in try server.connect() }
                let waiting = clients.enumerated().map { number, client in
                    spawn { try client.expect("CLIENT \(number)", to: "client \(number)") }
                }
                try #expect(eventuallyOnHub { waiting.count { $0.hasEnded } == 4 })
                try server.expectOnly(clients: 4)
                let served = clients.indices.filter { waiting[$0].hasEnded }
                for (count, leaver) in [(5, served[0]), (6, served[1])] {
                    clients[leaver].close()
                    try #expect(eventuallyOnHub { waiting.count { $0.hasEnded } == count })
                    try server.expectOnly(clients: 4)
                }
                for client in waiting { try client.value() }
                for client in clients { client.close() }
            }
        }

        @Test(
            arguments: ServerModel.testable(
                ServerModel(.thread, "--pool-size", "1"), ServerModel(.process, "--pool-size", "1")))
        func `a pool of one serves one of six clients after the other`(model: ServerModel) throws {
            try withServer(model) { server in
                let clients = try (0..<6).map { _ in try server.connect() }
                let waiting = clients.enumerated().map { number, client in
                    spawn { try client.expect("CLIENT \(number)", to: "client \(number)") }
                }
                var served: Set<Int> = []
                for count in 1...6 {
                    try #expect(eventuallyOnHub { waiting.count { $0.hasEnded } == count })
                    try server.expectOnly(clients: 1)
                    let now = try #require(clients.indices.first { waiting[$0].hasEnded && !served.contains($0) })
                    clients[now].close()
                    served.insert(now)
                }
                for client in waiting { try client.value() }
            }
        }

        /// Longer than others: idle workers end after ten seconds.
        @Test(
            arguments: ServerModel.testable(
                ServerModel(.thread, "--pool-size", "2...5"), ServerModel(.process, "--pool-size", "2...5")))
        func `a pool grows while all are busy, up to its most, and shrinks to its least`(model: ServerModel) throws {
            try withServer(model, ["--admin", "127.0.0.1:0"]) { server in
                let size = { try Admin(of: server).metrics()["echo_server_pool_size"] }
                try #expect(size() == 2)
                let clients = try (0..<6).map { _ in try server.connect() }
                let waiting = clients.enumerated().map { number, client in
                    spawn { try client.expect("CLIENT \(number)", to: "client \(number)") }
                }
                try #expect(eventuallyOnHub { waiting.count { $0.hasEnded } == 5 })
                try #expect(size() == 5)
                let last = try #require(clients.indices.first { !waiting[$0].hasEnded })
                let leaver = try #require(clients.indices.first { $0 != last })
                clients[leaver].close()
                try #expect(eventuallyOnHub { waiting[last].hasEnded })
                for client in clients { client.close() }
                _ = try Hub.current.offload {
                    try server.program.waitForLine(
                        containing: "pool size changed pool_size=2", within: .seconds(25))
                }
                try #expect(size() == 2)
                let lines = server.program.standardError.lines
                #expect(lines.contains { $0.contains("pool size changed pool_size=5") })
                #expect(!lines.contains { $0.contains("died") })
            }
        }

        @Test(arguments: ServerModel.testable(.processPool))
        func `each process of a pool serves one client, and then the next`(model: ServerModel) throws {
            try withServer(model) { server in
                let workers = try Set(server.program.status().children)
                #expect(workers.count == 4)
                for _ in 0..<3 {
                    let clients = try (0..<4).map { _ in try ServedClient(of: server) }
                    #expect(Set(clients.map(\.worker)) == workers)
                    for client in clients { client.connection.close() }
                    try server.expectOnly(clients: 0)
                }
            }
        }

        // MARK: Death

        /// A crash without a report: writing a report takes longer than any wait here.
        private static let quietly: @Sendable (inout Program.Launch) -> Void = {
            $0.environment["SWIFT_BACKTRACE"] = "enable=no"
        }

        /// AddressSanitizer makes a report and an exit of a fault.
        private static let deadlySignals = Sanitizer.active == .address ? [SIGKILL] : [SIGKILL, SIGSEGV]

        @Test(arguments: ServerModel.supervised, deadlySignals)
        func `a worker that dies is replaced, and the clients of other workers notice nothing`(
            model: ServerModel, signal: Int32
        ) throws {
            try withServer(model, adjust: WorkerTests.quietly) { server in
                let clients = try (0..<ServerModel.fewClients).map { _ in try ServedClient(of: server) }
                let victim = clients[0].worker
                kill(victim, signal)
                for client in clients where client.worker == victim { #expect(client.hasLostItsServer) }
                // Clients that connect now may have to wait, and are served.
                try inParallel(20) { number in try #expect(server.answer(to: "new \(number)") == "NEW \(number)") }
                for client in clients where client.worker != victim {
                    try client.connection.expect("STILL HERE", to: "still here")
                }
                for client in clients { client.connection.close() }
                try server.program.waitOnHub(
                    forLineContaining: "worker process died killed_by=\(signal) worker=\(victim)")
                try expectReplaced(victim, in: server)
                let counts = try server.waitForCounts { $0["open"] == 0 }
                counts.expectToAddUp(open: 0)
                #expect(counts["accepted"] == clients.count + 20)
                #expect(counts["ended_crashed"] == clients.count { $0.worker == victim })
                #expect(counts["workers_restarted"] == 1)
            }
        }

        private func expectReplaced(_ victim: pid_t, in server: Server) throws {
            let isReplaced = try eventuallyOnHub {
                let children = try server.program.status().children
                return children.count == server.model.workers && !children.contains(victim)
            }
            #expect(isReplaced)
            try server.expectOnly(clients: 0)
        }

        @Test(arguments: ServerModel.supervised)
        func `workers that die again and again are replaced more and more slowly`(model: ServerModel) throws {
            try withServer(model, adjust: WorkerTests.quietly) { server in
                let start = Deadline.now
                var killed: Set<pid_t> = []
                while Deadline.now - start < .milliseconds(700) {
                    for worker in try server.program.status().children where kill(worker, SIGKILL) == 0 {
                        killed.insert(worker)
                    }
                    try Greenlet.sleep(for: .milliseconds(1))
                }
                #expect(killed.count > model.workers)
                #expect(killed.count <= model.workers * mostDeaths(within: .now - start))
                try #expect(server.answer(to: "anybody?") == "ANYBODY?")
                try #expect(eventuallyOnHub { try server.program.status().children.count == model.workers })
            }
        }

        /// The most deaths of one worker within `time`: its replacement waits twice as long each time.
        private func mostDeaths(within time: Duration) -> Int {
            var (backOff, moment, deaths) = (BackOff(), Duration.zero, 0)
            while moment <= time {
                deaths += 1
                moment += backOff.next()
            }
            return deaths
        }

        @Test(arguments: ServerModel.testable(.process, .forkServer), deadlySignals)
        func `a client's own process that dies ends that connection only`(model: ServerModel, signal: Int32) throws {
            try withServer(model, adjust: WorkerTests.quietly) { server in
                let (one, other) = (try ServedClient(of: server), try ServedClient(of: server))
                kill(one.worker, signal)
                #expect(one.hasLostItsServer)
                one.connection.close()
                try other.connection.expect("STILL HERE", to: "still here")
                try server.expectOnly(clients: 1)
                let counts = try server.waitForCounts { $0["open"] == 1 }
                counts.expectToAddUp(open: 1)
                #expect(counts["ended_crashed"] == 1)
                other.connection.close()
            }
        }
    }
}

extension EndToEnd {
    /// The system refuses what a client needs.
    @Suite(.serialized, .enabled(if: Sanitizer.active == .none, "a sanitizer makes calls of its own"))
    struct ScarcityTests {
        /// The call that makes a context, and its error where the system has none left.
        private static let refusals: [ServerModel: (call: Faults.Call, error: Int32)] = [
            .green: (.mmap, ENOMEM), .thread: (.threadCreate, EAGAIN), .process: (.fork, EAGAIN),
        ]

        @Test(arguments: ServerModel.testable(.green, .thread, .process))
        func `a client for which there is no context is refused and counted, and others are served`(
            model: ServerModel
        ) throws {
            let (refusal, faults) = (try #require(ScarcityTests.refusals[model]), try Faults())
            try withServer(model, adjust: faults.preload) { server in
                let client = try server.connect()
                try client.expect("HELLO", to: "hello")
                var served: [Connection] = []
                try faults.failing([refusal.call], with: refusal.error) {
                    // The server holds stacks for green threads in store.
                    while let one = try server.connectIfServed() { served.append(one) }
                    try client.expect("STILL HERE", to: "still here")
                }
                try #expect(eventuallyOnHub { (try? server.answer(to: "again?")) == "AGAIN?" })
                for connection in served + [client] { connection.close() }
                let counts = try server.waitForCounts { $0["open"] == 0 }
                counts.expectToAddUp(open: 0)
                #expect(counts["refused_no_context"] >= 1)
                let line = try #require(server.log.first { $0.contains(" warning not accepting for now") })
                #expect(
                    line.contains(" call=\(refusal.call.rawValue) errno=\(SystemError(refusal.error).name) "), "\(line)"
                )
            }
        }

        @Test(arguments: ServerModel.testable(.green, .greenWorkers, .thread, .process))
        func `a server that can no longer accept says so and exits with status 71`(model: ServerModel) throws {
            let faults = try Faults()
            try withServer(model, adjust: faults.preload) { server in
                try faults.failing([.accept4], with: EINVAL) {
                    // The server may end while the client connects.
                    (try? server.connect())?.close()
                    try #expect(server.program.waitForExitOnHub() == .status(71))
                }
                #expect(server.log.contains { $0.contains("cannot accept any more") })
            }
        }

        /// accept(2) passes on errors of the new connection's network, which are not the listener's.
        @Test(
            arguments: ServerModel.testable(.green, .thread, .process, .processPool),
            [ECONNABORTED, EPROTO, ENETDOWN, EHOSTUNREACH, EPERM])
        func `a connection that is lost before it is accepted is counted, and the next one is served`(
            model: ServerModel, error: Int32
        ) throws {
            let faults = try Faults()
            try withServer(model, adjust: faults.preload) { server in
                faults.failNext(.accept4, 3, with: error)
                for _ in 0..<5 { try #expect(server.answer(to: "well?") == "WELL?") }
                let counts = try server.waitForCounts { $0["lost_before_accept"] == 3 && $0["open"] == 0 }
                counts.expectToAddUp(open: 0)
                #expect(counts["lost_before_accept"] == 3)
                #expect(counts["accepted"] == 5)
            }
        }

        @Test(arguments: ServerModel.testable(.green, .thread, .process), [ENFILE, ENOBUFS, ENOMEM])
        func `without memory for a connection it pauses, uses no processor time, and then continues`(
            model: ServerModel, error: Int32
        ) throws {
            let faults = try Faults()
            try withServer(model, adjust: faults.preload) { server in
                let client = try server.connect()
                try client.expect("HELLO", to: "hello")
                let waiting = try faults.failing([.accept4], with: error) {
                    let waiting = try (0..<3).map { _ in try server.connect() }
                    let line = try server.program.waitOnHub(forLineContaining: " warning not accepting for now")
                    #expect(line.contains(" errno=\(SystemError(error).name) "), "\(line)")
                    let before = try server.program.status().processorTime
                    try Greenlet.sleep(for: .milliseconds(300))
                    try #expect(server.program.status().processorTime - before <= .milliseconds(30))
                    try client.expect("STILL HERE", to: "still here")
                    return waiting
                }
                for one in waiting { try one.expect("AT LAST", to: "at last") }
                for one in waiting + [client] { one.close() }
                let counts = try server.waitForCounts { $0["open"] == 0 }
                counts.expectToAddUp(open: 0)
                #expect(counts["accepted"] == 4)
                #expect(counts["accept_paused"] >= 1)
            }
        }

        /// The kernel refuses at a limit of its own, or for lack of memory.
        @Test(arguments: ServerModel.testable(.green, .greenWorkers, .greenProcesses))
        func `connections that the kernel cannot watch are served slowly and at little cost`(model: ServerModel) throws
        {
            let faults = try Faults()
            try withServer(model, adjust: faults.preload) { server in
                try faults.failing([.epollControl], with: ENOSPC) {
                    let clients = try (0..<5).map { _ in try server.connect() }
                    for client in clients { try client.expect("HELLO", to: "hello") }
                    let before = try server.program.tree().processorTime
                    try Greenlet.sleep(for: .milliseconds(300))
                    try #expect(server.program.tree().processorTime - before <= .milliseconds(60))
                    for client in clients { try client.expect("STILL HERE", to: "still here") }
                    for client in clients { client.close() }
                    try server.expectOnly(clients: 0)
                }
                try server.exchange(1 << 20, of: .upper)
            }
        }

        @Test(arguments: ServerModel.supervised)
        func `a worker that can no longer accept is replaced`(model: ServerModel) throws {
            let faults = try Faults()
            try withServer(model, adjust: faults.preload) { server in
                let workers = try server.program.status().children
                faults.failNext(.accept4, 1, with: EINVAL)
                let isGone = try eventuallyOnHub {
                    (try? server.connect())?.close()
                    return try server.program.status().children != workers
                }
                #expect(isGone)
                let line = try server.program.waitOnHub(forLineContaining: "worker process died exit_code=71")
                #expect(workers.contains { line.hasSuffix(" worker=\($0)") })
                try #expect(eventuallyOnHub { try server.program.status().children.count == model.workers })
                try #expect(server.answer(to: "well?") == "WELL?")
            }
        }

        @Test(arguments: ServerModel.supervised)
        func `if a worker cannot be forked, the others serve and the fork is tried again`(model: ServerModel) throws {
            let faults = try Faults()
            try withServer(model, adjust: faults.preload) { server in
                let victim = try #require(server.program.status().children.first)
                try faults.failing([.fork], with: EAGAIN) {
                    kill(victim, SIGKILL)
                    try server.program.waitOnHub(forLineContaining: "cannot fork a worker process", count: 2)
                    try #expect(server.program.status().children.count == model.workers - 1)
                    if model.kind == .process { try #expect(server.answer(to: "well?") == "WELL?") }
                }
                try #expect(eventuallyOnHub { try server.program.status().children.count == model.workers })
                try inParallel(20) { number in try #expect(server.answer(to: "new \(number)") == "NEW \(number)") }
            }
        }
    }
}

/// A client, and the child of the server that serves it.
struct ServedClient {
    let connection: Connection
    let worker: pid_t

    /// The child that has one descriptor more than before serves this client.  No other client may connect or leave meanwhile.
    init(of server: Server) throws {
        let before = try server.descriptorsOfChildren()
        connection = try server.connect()
        try connection.expect("HELLO", to: "hello")
        let after = try server.descriptorsOfChildren()
        worker = try #require(after.first { $0.value > before[$0.key] ?? 0 }?.key)
    }

    var hasLostItsServer: Bool {
        do throws(NetError) { return try connection.receive() == nil } catch { return error.isPeerGone }
    }
}

extension Server {
    /// Nil where the server has none.
    var forkServer: ProcessStatus? { model.hasForkServer ? idle.children.first : nil }

    /// Without a fork server, which has a new client's descriptor for a moment.
    func descriptorsOfChildren() throws -> [pid_t: Int] {
        let children = try program.status().children.filter { $0 != forkServer?.pid }
        return Dictionary(uniqueKeysWithValues: children.map { ($0, ProcessStatus($0)?.descriptors ?? 0) })
    }

    /// Nil if the server closes the connection at once.
    func connectIfServed() throws -> Connection? {
        let connection = try connect()
        try connection.sendAll(Array("a".utf8))
        let answer = try? connection.receive(exactly: 1)
        if answer == Array("A".utf8) { return connection }
        connection.close()
        return nil
    }
}
