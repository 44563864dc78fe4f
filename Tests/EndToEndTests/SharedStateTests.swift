import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// The state that the hubs and processes of a service share: its cost depends on open connections only, and it outlives each process.
    @Suite(.serialized, .enabled(if: Sanitizer.active == .none, "a sanitizer makes calls of its own"))
    struct SharedStateTests {
        /// systemd's limit; the highest by default in the kernel; the limit that containers had for long; no limit.
        private static let limits = ["524288", "1048576", "1073741816", "18446744073709551615"]
        private static let eight = ServerModel(.green, "--processes", "8")

        @Test(arguments: limits)
        func `a death costs what the worker held, however many connections the descriptor limit allows`(
            limit: String
        ) throws {
            let faults = try Faults()
            try withPretendedLimit(limit, faults, ["--processes", "8", "--max-connections-per-ip", "10"]) {
                program, address in
                let clients = try (0..<10).map { _ in try Connection.connect(to: address) }
                for client in clients { try client.expect("HELLO", to: "hello") }
                let before = try program.status()
                #expect(try addressSpace(of: program) < 2 << 30)
                let victim = try #require(before.children.first { $0 > 0 })
                kill(victim, SIGKILL)
                let isReplaced = try eventuallyOnHub {
                    let children = try program.status().children
                    return children.count == 8 && !children.contains(victim)
                }
                #expect(isReplaced)
                let after = try program.status()
                #expect(after.residentMemory - before.residentMemory < 4 << 20)
                #expect(after.processorTime - before.processorTime < .patient(0.2))
                for client in clients { client.close() }
            }
        }

        @Test(arguments: limits.suffix(2), [ServerModel.green, .process, .processPool])
        func `whatever the descriptor limit, it starts and serves`(limit: String, model: ServerModel) throws {
            let faults = try Faults()
            // The server has neither close_range(2) nor a list of its descriptors.
            faults.failAll(.closeRange, with: ENOSYS)
            faults.failAll(.opendir, with: EACCES)
            try withPretendedLimit(limit, faults, model.arguments) { _, address in
                for number in 0..<3 {
                    let client = try Connection.connect(to: address)
                    defer { client.close() }
                    try client.expect("CLIENT \(number)", to: "client \(number)")
                }
            }
        }

        /// Runs a server that sees a limit higher than this process may have.
        private func withPretendedLimit(
            _ limit: String, _ faults: Faults, _ arguments: [String],
            _ body: @escaping @Sendable (Program, SocketAddress) throws -> Void
        ) throws {
            let launch = try Server.launch(.green, arguments) {
                faults.preload(&$0)
                $0.environment["FAULT_DESCRIPTOR_LIMIT"] = limit
            }
            let program = try Program(launch)
            defer { program.end() }
            let address = try Server.address(in: program.waitForLine(containing: "listening on "))
            try onHub { try body(program, address) }
            program.send(SIGTERM)
            #expect(try program.waitForExit() == .status(0))
            #expect(!program.standardError.text.contains("Fatal error"))
        }

        private func addressSpace(of program: Program) throws -> Int {
            let status = try #require(ProcessStatus.contents(of: "/proc/\(program.pid)/status"))
            let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmSize:") })
            return try #require(Int(line.filter(\.isNumber))) << 10
        }

        // MARK: Death with the lock

        /// The worker dies in each of a connection's uses of the lock: to take a place, to count the address, and to give back both.
        @Test(arguments: ServerModel.supervised, 1...4)
        func `a worker that dies with the lock of the limits held leaves them as they should be`(
            model: ServerModel, number: Int
        ) throws {
            let faults = try Faults()
            try withServer(model, ["--max-connections-per-ip", "3"], adjust: faults.preload) { server in
                let made = faults.made(.lockHeld)
                faults.fail(.lockHeld, made + number...made + number, with: SIGKILL)
                // The client may lose its server at any moment.
                _ = try? server.answer(to: "victim")
                try server.program.waitOnHub(forLineContaining: "worker process died killed_by=9")
                try expectExactLimit(3, server)
                let counts = try server.waitForCounts { $0["open"] == 0 && $0["workers_restarted"] > 0 }
                counts.expectToAddUp(open: 0)
                #expect(counts["workers_restarted"] == 1)
            }
        }

        @Test(arguments: ServerModel.supervised)
        func `the limits are exact after workers were killed at random under load`(model: ServerModel) throws {
            try withServer(model, ["--max-connections-per-ip", "3"]) { server in
                let comers = (0..<8).map { index in spawn { try server.comeAndGo(leavingByReset: index % 2 == 0) } }
                for _ in 0..<10 {
                    try Greenlet.sleep(for: .milliseconds(30))
                    if let child = try server.program.status().children.randomElement() { kill(child, SIGKILL) }
                }
                for comer in comers { comer.kill() }
                for comer in comers { _ = try? comer.value() }
                try #expect(eventuallyOnHub { try server.program.status().children.count == model.workers })
                try expectExactLimit(3, server)
                try server.waitForCounts { $0["open"] == 0 }.expectToAddUp(open: 0)
            }
        }

        private func expectExactLimit(_ limit: Int, _ server: Server) throws {
            var clients: [Connection] = []
            // The server may not have given back all places of the clients that have left.
            let areServed = try eventuallyOnHub {
                if let client = try server.connectIfServed() { clients.append(client) }
                return clients.count == limit
            }
            #expect(areServed)
            try #expect(server.connectIfServed() == nil)
            for client in clients { client.close() }
        }
    }
}
