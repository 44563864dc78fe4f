import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// A server for which time does not pass evenly: it is stopped for a while, or the clock is set.
    @Suite(.serialized) struct PauseTests {
        /// Longer than all clients need to connect, on a busy machine too: else the first would be idle before the last is connected.
        private static let idleTimeout = Duration.patient(2)
        /// Long enough for every timeout to pass.
        private static let pause = isLongRun ? Duration.seconds(60) : idleTimeout * 1.25

        private static let limits = ["--idle-timeout", "\(idleTimeout.components.seconds)", "--write-timeout", "1"]

        /// A client that has sent while the server was stopped is served, whatever the timers say; a client that has not was silent for that time.
        @Test(arguments: ServerModel.all)
        func `after a stopped server continues, clients that have sent are served, and only silent ones are idle`(
            model: ServerModel
        ) throws {
            try withServer(model, PauseTests.limits, limit: PauseTests.pause + .seconds(30)) { server in
                // With green threads, more clients than a loop gets events for at once; the other models have no loop.
                let count = model.kind == .green ? 200 : model.isPool ? model.clientsAtOnce - 1 : 20
                let clients = try inParallel(count + 1) { number in
                    let client = try server.connect()
                    try client.expect("CLIENT \(number)", to: "client \(number)")
                    return client
                }
                try server.whileStopped {
                    for client in clients.dropFirst() { try client.sendAll(Array("meanwhile".utf8)) }
                    try Greenlet.sleep(for: PauseTests.pause)
                }
                for client in clients.dropFirst() {
                    try #expect(client.receive(exactly: 9) == Array("MEANWHILE".utf8))
                    client.close()
                }
                try #expect(clients[0].receive() == nil)
                clients[0].close()
                let counts = try server.waitForCounts { $0["open"] == 0 }
                #expect(counts["ended_idle"] == 1)
                #expect(counts["ended_done"] == count)
                try #expect(server.answer(to: "again") == "AGAIN")
            }
        }

        private static let clockModels = ServerModel.testable(.green, .greenProcesses, .thread, .processPool)

        @Test(.enabled(if: ShiftedClock.isUsable, "no C compiler here, or a sanitizer"), arguments: clockModels)
        func `setting the clock an hour forth and back ends no connection early or late`(model: ServerModel) throws {
            try withShiftedClock { clock in
                try withServer(model, PauseTests.limits, adjust: { clock.adjust(&$0) }) { server in
                    let (silent, lively) = (try server.connect(), try server.connect())
                    defer {
                        silent.close()
                        lively.close()
                    }
                    let start = Deadline.now
                    try silent.expect("HELLO", to: "hello")
                    let end = spawn { try #expect(silent.receive() == nil) }
                    var hours = 0
                    while !end.hasEnded {
                        hours = hours == 1 ? -1 : 1
                        clock.set(hoursAhead: hours)
                        try lively.expect("STILL HERE", to: "still here")
                        try Greenlet.sleep(for: .milliseconds(20))
                    }
                    try end.value()
                    let time = Deadline.now - start
                    #expect(time > PauseTests.idleTimeout - .milliseconds(50))
                    #expect(time < PauseTests.idleTimeout + slack)
                    try lively.expect("STILL HERE", to: "still here")
                }
            }
        }

        @Test(.enabled(if: ShiftedClock.isUsable, "no C compiler here, or a sanitizer"), arguments: clockModels)
        func `setting the clock an hour forth and back leaves an idle server idle`(model: ServerModel) throws {
            try withShiftedClock { clock in
                try withServer(model, ["--admin", "127.0.0.1:0"], adjust: { clock.adjust(&$0) }) { server in
                    let admin = try Admin(of: server)
                    let clients = try inParallel(ServerModel.fewClients) { _ in
                        let client = try server.connect()
                        try client.expect("HELLO", to: "hello")
                        return client
                    }
                    let began = try #require(admin.metrics()["echo_server_start_time_seconds"])
                    #expect(
                        abs(began - Double(time(nil)) - Double(ShiftedClock.day)) < 60,
                        "the server does not see the clock set")
                    let before = try server.program.tree().processorTime
                    for hours in [1, -1, 1, 0] {
                        clock.set(hoursAhead: hours)
                        try Greenlet.sleep(for: .milliseconds(250))
                    }
                    try #expect(server.program.tree().processorTime - before < .patient(0.1))
                    for (number, client) in clients.enumerated() {
                        try client.expect("CLIENT \(number)", to: "client \(number)")
                        client.close()
                    }
                    try #expect(admin.get("/healthz").status == 200)
                }
            }
        }
    }
}

extension Server {
    /// Stops all processes of the server, and continues them when `body` returns.
    func whileStopped(_ body: () throws -> Void) throws {
        let processes = try program.processes()
        defer { for process in processes { kill(process, SIGCONT) } }
        for process in processes { kill(process, SIGSTOP) }
        let areStopped = try eventuallyOnHub { processes.allSatisfy { ProcessStatus.isStopped($0) } }
        #expect(areStopped)
        try body()
    }
}

extension ProcessStatus {
    /// Whether all OS threads of the process are stopped.
    static func isStopped(_ pid: pid_t) -> Bool {
        numbers(in: "/proc/\(pid)/task").allSatisfy { thread in
            let stat = contents(of: "/proc/\(pid)/task/\(thread)/stat") ?? ""
            return stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].hasPrefix(") T")
        }
    }
}
