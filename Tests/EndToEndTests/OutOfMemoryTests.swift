import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// The processes that the kernel kills when there is no memory left.
    @Suite(.serialized) struct OutOfMemoryTests {
        private static let forking = ServerModel.testable(.process, .forkServer, .processPool, .greenProcesses)
        private static let raise = 500

        @Test(arguments: forking)
        func `each child's oom_score_adj is above its parent's`(model: ServerModel) throws {
            try withServer(model) { server in
                let client = try ServedClient(of: server)
                defer { client.connection.close() }
                try expectScores(of: server, parent: OutOfMemoryTests.score(of: getpid()))
            }
        }

        /// No process can have a higher score.
        @Test(arguments: forking, [501, 1000])
        func `a child's oom_score_adj is 1000 at most`(model: ServerModel, parent: Int) throws {
            let setup = "echo \(parent) > /proc/self/oom_score_adj"
            try withServer(model, adjust: { $0.setup = setup }) { server in
                let client = try ServedClient(of: server)
                defer { client.connection.close() }
                try expectScores(of: server, parent: parent)
            }
        }

        @Test(
            .enabled(if: Sanitizer.active == .none, "a sanitizer makes calls of its own"),
            arguments: ServerModel.testable(.process))
        func `if the score cannot be changed, each client is still served`(model: ServerModel) throws {
            let faults = try Faults()
            try withServer(model, adjust: faults.preload) { server in
                // Only after the start, which opens other files too.
                let before = faults.made(.open)
                faults.failAll(.open, with: EACCES)
                for number in 0..<5 { try #expect(server.answer(to: "client \(number)") == "CLIENT \(number)") }
                #expect(faults.made(.open) == before + 5)
                faults.stopFailing(.open)
            }
        }

        @Test(
            .enabled(if: MemoryCgroup.isUsable, "no memory cgroup can be made here"),
            .enabled(if: Sanitizer.active == .none, "a sanitizer takes memory of its own"),
            arguments: ServerModel.testable(.process, .processPool, .greenProcesses))
        func `when memory runs out, single children are killed and the service continues`(model: ServerModel) throws {
            // A child counts for half of the limit more than it has, by its score.  That must be well above what the parent has mapped of the program alone.
            let group = try MemoryCgroup(limit: 40 << 20)
            try withServer(model, ["--idle-timeout", "60"], adjust: { $0.setup = group.entering }) { server in
                var clients: [Connection] = []
                for _ in 0..<400 {
                    guard let client = try? Connection.connect(to: server.address, until: .after(.seconds(5))) else {
                        break
                    }
                    clients.append(client)
                    try? client.sendAll(Array("hello".utf8))
                    if model.kind == .process, !model.isPool {
                        _ = try? client.receive(until: .after(.milliseconds(20)))
                    }
                }
                #expect(!server.program.hasEnded)
                for client in clients { client.close() }
                try #expect(eventuallyOnHub { (try? server.answer(to: "again")) == "AGAIN" })
                let counts = try server.waitForCounts { $0["open"] == 0 }
                counts.expectToAddUp(open: 0)
                if model == .process { #expect(counts["ended_crashed"] + counts["refused_no_context"] > 0) }
            }
        }

        private func expectScores(of server: Server, parent: Int) throws {
            try #expect(OutOfMemoryTests.score(of: server.program.pid) == parent)
            let expected = min(parent + OutOfMemoryTests.raise, 1000)
            // A child runs before it has set its score.
            let areRaised = try eventuallyOnHub {
                let children = try server.program.status().children
                return try !children.isEmpty && children.allSatisfy { try OutOfMemoryTests.score(of: $0) == expected }
            }
            #expect(areRaised)
        }

        private static func score(of pid: pid_t) throws -> Int {
            let text = try #require(ProcessStatus.contents(of: "/proc/\(pid)/oom_score_adj"))
            return try #require(Int(text.filter { !$0.isWhitespace }))
        }
    }
}
