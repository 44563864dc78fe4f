import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// `--lame-duck`: time for load balancers to notice, before the drain.
    @Suite(.serialized) struct LameDuckTests {
        /// Longer than any test takes, where the end of it is not what is tested.
        private static let long = ["--lame-duck", "60", "--admin", "127.0.0.1:0"]

        @Test(arguments: ServerModel.all)
        func `after TERM the service is not ready, and accepts and serves all the same`(model: ServerModel) throws {
            try withServer(model, ["--lame-duck", "1.5", "--admin", "127.0.0.1:0"]) { server in
                let admin = try Admin(of: server)
                try #expect(admin.get("/readyz").status == 200)
                let before = try server.connect()
                defer { before.close() }
                try before.expect("BEFORE", to: "before")
                let start = Deadline.now
                server.program.send(SIGTERM)
                try #expect(eventuallyOnHub { try admin.get("/readyz") == Admin.Answer(503, "stopping\n") })
                try #expect(admin.get("/healthz").status == 200)
                try #expect(admin.metrics()["echo_server_ready"] == 0)
                // Well before the drain begins.
                try #expect(server.answer(to: "new") == "NEW")
                try before.expect("AFTER", to: "after")
                #expect(
                    !server.log.contains { $0.contains("no longer accepting") } || Deadline.now - start > .seconds(1.4))
                try server.program.waitOnHub(forLineContaining: "no longer accepting")
                #expect(Deadline.now - start > .seconds(1.4))
                try #expect(eventuallyOnHub { try !server.isAccepting() })
                // The drain's time begins now.
                try before.expect("STILL", to: "still")
                before.close()
                try #expect(server.program.waitForExitOnHub() == .status(0))
            }
        }

        @Test(arguments: ServerModel.all, [SIGTERM, SIGINT])
        func `a second signal ends a lame duck at once`(model: ServerModel, signal: Int32) throws {
            try withServer(model, LameDuckTests.long) { server in
                let client = try server.connect()
                defer { client.close() }
                try client.expect("HELLO", to: "hello")
                server.program.send(SIGTERM)
                try server.program.waitOnHub(forLineContaining: "still accepting")
                server.program.send(signal)
                try #expect(server.program.waitForExitOnHub() == .status(128 + signal))
            }
        }

        @Test(arguments: ServerModel.supervised)
        func `a lame duck replaces a worker that dies`(model: ServerModel) throws {
            try withServer(model, LameDuckTests.long) { server in
                server.program.send(SIGTERM)
                try server.program.waitOnHub(forLineContaining: "still accepting")
                let workers = try server.program.status().children
                for worker in workers { kill(worker, SIGKILL) }
                try #expect(
                    eventuallyOnHub {
                        let now = try server.program.status().children
                        return now.count == workers.count && Set(now).isDisjoint(with: workers)
                    })
                try #expect(eventuallyOnHub { (try? server.answer(to: "new")) == "NEW" })
                server.program.send(SIGTERM)
                try #expect(server.program.waitForExitOnHub() == .status(143))
            }
        }

        @Test func `the manager hears at once that the service stops, and a reload changes nothing any more`() throws {
            try withServer(.green, LameDuckTests.long) { server in
                server.program.send(SIGTERM)
                try server.program.waitOnHub(forLineContaining: "still accepting")
                server.program.send(SIGHUP)
                server.program.send(SIGUSR1)
                try server.program.waitOnHub(forLineContaining: "state")
                #expect(!server.log.contains { $0.contains("settings reloaded") })
                server.program.send(SIGTERM)
                try #expect(server.program.waitForExitOnHub() == .status(143))
            }
        }
    }
}
