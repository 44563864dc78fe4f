import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// Worker processes that are stopped and not continued.
    @Suite(.serialized) struct StuckWorkerTests {
        /// The shortest timeout that the server takes.
        private static let timeout = Sanitizer.slowness
        private static let impatient = ["--worker-timeout", "\(timeout)"]
        private static let hubs = ServerModel.testable(.greenProcesses)

        @Test(arguments: hubs)
        func `a worker that stays stopped is replaced, and clients of other workers notice nothing`(
            model: ServerModel
        ) throws {
            try withServer(model, StuckWorkerTests.impatient) { server in
                let clients = try (0..<ServerModel.fewClients).map { _ in try ServedClient(of: server) }
                let victim = clients[0].worker
                kill(victim, SIGSTOP)
                // The connections that the worker has accepted are lost with it.
                try #expect(eventuallyOnHub { ProcessStatus.isStopped(victim) })
                // Half of the clients connect to the victim's listener.
                try inParallel(20) { number in try #expect(server.answer(to: "new \(number)") == "NEW \(number)") }
                try server.expectReplaced([victim])
                for client in clients where client.worker != victim {
                    try client.connection.expect("STILL HERE", to: "still here")
                }
                for client in clients { client.connection.close() }
                #expect(
                    server.log.count {
                        $0.contains("killing a worker process that does not respond")
                            && $0.hasSuffix("worker=\(victim)")
                    } == 1)
                let counts = try server.waitForCounts { $0["open"] == 0 && $0["workers_restarted"] > 0 }
                counts.expectToAddUp(open: 0)
                #expect(counts["ended_crashed"] == clients.count { $0.worker == victim })
                #expect(counts["workers_restarted"] == 1)
            }
        }

        /// All workers that need the lock wait for the worker that was stopped while it held it.
        @Test(
            .enabled(if: Sanitizer.active == .none, "a sanitizer makes calls of its own"),
            arguments: ServerModel.supervised)
        func `a worker that is stopped with the lock of the limits held is replaced, and no other is`(
            model: ServerModel
        ) throws {
            let faults = try Faults()
            let arguments = StuckWorkerTests.impatient + ["--max-connections-per-ip", "100"]
            try withServer(model, arguments, adjust: faults.preload) { server in
                let workers = try Set(server.program.status().children)
                faults.failNext(.lockHeld, 1, with: SIGSTOP)
                let answers = try inParallel(20) { number in
                    (try? server.answer(to: "new \(number)")) == "NEW \(number)"
                }
                try server.program.waitOnHub(forLineContaining: "worker process died killed_by=9")
                _ = try server.waitForCounts { $0["workers_restarted"] == 1 }
                let left = try workers.intersection(server.program.status().children)
                #expect(left.count == model.workers - 1)
                let counts = try server.waitForCounts { $0["open"] == 0 }
                counts.expectToAddUp(open: 0)
                // Lost are the connections that the worker had accepted; each hub may have accepted one that it had not counted yet.
                #expect(answers.count { !$0 } <= counts["ended_crashed"] + model.hubsOfWorker)
                for number in 0..<20 { try #expect(server.answer(to: "later \(number)") == "LATER \(number)") }
            }
        }

        @Test(arguments: hubs)
        func `a service that is stopped as a whole and continued keeps its workers`(model: ServerModel) throws {
            try withServer(model, StuckWorkerTests.impatient) { server in
                let clients = try (0..<ServerModel.fewClients).map { _ in try ServedClient(of: server) }
                let workers = try Set(server.program.status().children)
                let longEnough = Duration.seconds(1.5) * StuckWorkerTests.timeout
                try server.whileStopped { try Greenlet.sleep(for: longEnough) }
                // For the time in which a replacement would happen.
                let end = Deadline.after(longEnough)
                while !end.hasPassed {
                    for client in clients { try client.connection.expect("STILL HERE", to: "still here") }
                    try Greenlet.sleep(for: .milliseconds(20))
                }
                try #expect(Set(server.program.status().children) == workers)
                for client in clients { client.connection.close() }
            }
        }

        @Test(arguments: hubs)
        func `with a worker timeout of 0 a stopped worker is kept, and the service is not ready`(
            model: ServerModel
        ) throws {
            try withServer(model, ["--worker-timeout", "0", "--admin", "127.0.0.1:0"]) { server in
                let admin = try Admin(of: server)
                let victim = try #require(server.program.status().children.first)
                kill(victim, SIGSTOP)
                defer { kill(victim, SIGCONT) }
                let isTold = try eventuallyOnHub(within: .seconds(15)) { try admin.get("/readyz").status == 503 }
                #expect(isTold)
                try #expect(admin.get("/readyz").body.contains("has been stuck for"))
                try #expect(admin.get("/healthz").status == 503)
                try #expect(admin.metrics()["echo_server_ready"] == 0)
                try #expect(server.program.status().children.contains(victim))
                kill(victim, SIGCONT)
                try #expect(eventuallyOnHub { try admin.get("/readyz") == .init(200, "ready\n") })
            }
        }

        @Test(arguments: hubs)
        func `the watchdog is notified while a worker is replaced`(model: ServerModel) throws {
            let manager = try ManagerSocket()
            try withServer(model, StuckWorkerTests.impatient) {
                $0.environment["NOTIFY_SOCKET"] = manager.name
                $0.environment["WATCHDOG_USEC"] = "200000"
            } _: { server in
                let victim = try #require(server.program.status().children.first)
                kill(victim, SIGSTOP)
                var isReplaced = false
                while !isReplaced {
                    #expect(try manager.wait().contains("="))
                    isReplaced = try !server.program.status().children.contains(victim)
                }
                try server.expectReplaced([victim])
                for _ in 0..<5 { #expect(try manager.wait().contains("=")) }
            }
        }

        @Test(arguments: hubs)
        func `a worker that is stopped while the service drains does not hold it up`(model: ServerModel) throws {
            try withServer(model, StuckWorkerTests.impatient + ["--drain-timeout", "600"]) { server in
                let client = try ServedClient(of: server)
                server.program.send(SIGTERM)
                try server.program.waitOnHub(forLineContaining: "no longer accepting")
                kill(client.worker, SIGSTOP)
                try #expect(server.program.waitForExitOnHub(within: .seconds(15)) == .status(0))
                client.connection.close()
                try #require(server.lastCounts).expectToAddUp(open: 0)
            }
        }
    }
}

extension Server {
    fileprivate func expectReplaced(_ victims: Set<pid_t>) throws {
        let areReplaced = try eventuallyOnHub {
            let children = try program.status().children
            return children.count == model.workers && victims.isDisjoint(with: children)
        }
        #expect(areReplaced)
    }
}
