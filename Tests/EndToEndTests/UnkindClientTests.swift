import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// Clients that do what no client should, of which the other clients must notice nothing.
    @Suite(.serialized) struct UnkindClientTests {
        /// The time that an answer to another client may take meanwhile.
        private static let latency = slack * 4
        /// By how much the largest process may grow: its own size depends on the build.
        private static let growth = 4 << 20

        @Test(arguments: ServerModel.all)
        func `clients that do not read, do not send or flood disturb no other client and use little memory`(
            model: ServerModel
        ) throws {
            try withServer(model) { server in
                // The number of clients of each kind: a pool, too, serves all of them at once.
                let count = model.isPool ? 1 : 20
                let before = try server.program.tree().peakResidentMemory
                let silent = try inParallel(count) { _ in try server.connect() }
                let deaf = try inParallel(count) { _ in
                    let connection = try server.connect()
                    _ = try connection.sendUntilFull(of: .upper)
                    return connection
                }
                let flood = try server.connect()
                let flooding = spawn(name: "flood") { try flood.exchange(.max, of: .upper) }
                defer {
                    flooding.kill()
                    _ = try? flooding.value()
                }
                let slowest = try inParallel(count) { number in try slowestAnswer(of: 100, from: server, number) }
                    .max()!
                print("slowest answer beside a flood: \(slowest)")
                #expect(slowest < UnkindClientTests.latency)
                #expect(!flooding.hasEnded)
                if Sanitizer.active == .none {
                    try #expect(server.program.tree().peakResidentMemory < before + UnkindClientTests.growth)
                }
                for connection in silent + deaf { connection.close() }
            }
        }

        private func slowestAnswer(of count: Int, from server: Server, _ client: Int) throws -> Duration {
            let connection = try server.connect()
            defer { connection.close() }
            var slowest = Duration.zero
            for number in 0..<count {
                let start = Deadline.now
                try connection.expect("CLIENT \(client), LINE \(number)\n", to: "client \(client), line \(number)\n")
                slowest = max(slowest, .now - start)
            }
            return slowest
        }

        @Test(arguments: ServerModel.all)
        func `a client that resets while it is written to ends its own connection only`(model: ServerModel) throws {
            try withServer(model, ["--log-level", "debug"]) { server in
                let port = try server.port
                let other = try server.connect()
                defer { other.close() }
                try other.expect("BEFORE", to: "before")
                for _ in 0..<10 {
                    let socket = try RawSocket(port: port)
                    _ = socket.sendUntilFull()
                    socket.reset()
                }
                try other.expect("AFTER", to: "after")
                try server.expectOnly(clients: 1)
                // The server logs a line for each, below the default level.
                try server.program.waitOnHub(forLineContaining: "connection ended", count: 10)
                #expect(!server.program.standardError.lines.contains { $0.contains(" warning ") })
            }
        }

        @Test(arguments: ServerModel.all)
        func `a client that resets while it is waited for ends its own connection only`(model: ServerModel) throws {
            try withServer(model) { server in
                let port = try server.port
                let other = try server.connect()
                defer { other.close() }
                for number in 0..<100 {
                    try RawSocket(port: port).reset()
                    try other.expect("LINE \(number)", to: "line \(number)")
                }
                try server.expectOnly(clients: 1)
                #expect(server.log.isEmpty)
            }
        }

        @Test(arguments: ServerModel.all)
        func `a client that leaves without reading its answer ends its own connection only`(model: ServerModel) throws {
            try withServer(model) { server in
                let other = try server.connect()
                defer { other.close() }
                for number in 0..<100 {
                    let connection = try server.connect()
                    try connection.sendAll(RandomStream.upper.bytes(number, 100_000))
                    connection.close()
                    try other.expect("LINE \(number)", to: "line \(number)")
                }
                try server.expectOnly(clients: 1)
            }
        }
    }
}
