import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// Promises of SECURITY.md that no other suite tests.
    @Suite(.serialized) struct SecurityTests {
        /// The text ends a line, clears a terminal, and is longer than the log ever shows.
        private static let payload = "\u{1b}[2J\n2026 critical FORGED " + String(repeating: "secret", count: 40)

        /// Expects that `text` has no part of the payload, as it was sent or in capitals.
        private func expectNoPayload(in text: String, isTrace: Bool) {
            #expect(!text.contains("\u{1b}") && !text.contains("\n2026 critical"))
            for word in ["secretsecret", "SECRETSECRET", "FORGED"] {
                // At trace, the log has the first 64 bytes, encoded: control characters by their numbers.
                #expect(text.ranges(of: word).count <= (isTrace ? 6 : 0), "\(text)")
            }
            #expect(!text.contains(String(repeating: "secret", count: 11)))
            #expect(text.contains("%1B[2J%0A2026 critical FORGED secret") == isTrace)
        }

        @Test(arguments: ServerModel.all, ["debug", "trace"])
        func `what clients send is in the log only at level trace, encoded and cut`(
            model: ServerModel, level: String
        ) throws {
            try withServer(model, ["--log-level", level]) { server in
                try #expect(server.answer(to: SecurityTests.payload) == SecurityTests.payload.uppercased())
                // The server logs connections that end badly too.
                let socket = try RawSocket(port: server.port)
                _ = socket.sendUntilFull()
                socket.reset()
                try server.program.waitOnHub(forLineContaining: "connection ended")
                expectNoPayload(in: server.program.standardError.text, isTrace: level == "trace")
            }
        }

        @Test(arguments: ServerModel.all)
        func `a request for the admin interface is any other text to the service`(model: ServerModel) throws {
            try withServer(model, ["--admin", "127.0.0.1:0"]) { server in
                let request = "GET /metrics HTTP/1.0\r\n\r\n"
                try #expect(server.answer(to: request) == "GET /METRICS HTTP/1.0\r\n\r\n")
            }
        }

        /// A child that kept the admin interface's socket or another client's connection would have one more.
        @Test(arguments: ServerModel.testable(.process, .processPool, .greenProcesses))
        func `a child has no socket of its parent's but those that it accepts on`(model: ServerModel) throws {
            try withServer(model, ["--admin", "127.0.0.1:0"]) { server in
                let clients = try inParallel(ServerModel.fewClients) { _ in
                    let client = try server.connect()
                    try client.expect("HELLO", to: "hello")
                    return client
                }
                defer { for client in clients { client.close() } }
                let admin = try Connection.connect(to: Admin(of: server).address)
                defer { admin.close() }
                let listeners = model.forksForClients ? 0 : model.hubsOfWorker
                for child in try server.program.status().children {
                    try #expect(server.socketsShared(with: child).count == listeners)
                }
                // The same holds for a worker's replacement.
                guard model.isSupervised else { return }
                let before = try server.program.status().children
                kill(before[0], SIGKILL)
                let isReplaced = try eventuallyOnHub {
                    let children = try server.program.status().children
                    guard let new = children.first(where: { !before.contains($0) }) else { return false }
                    return try server.socketsShared(with: new).count == listeners
                }
                #expect(isReplaced)
            }
        }
    }
}

extension Server {
    /// The sockets of `child` that the first process has too.
    fileprivate func socketsShared(with child: pid_t) throws -> Set<String> {
        let own = try Set(program.status().descriptorTargets)
        return own.intersection(ProcessStatus(child)?.descriptorTargets ?? []).filter { $0.hasPrefix("socket:") }
    }
}
