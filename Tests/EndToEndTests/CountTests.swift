import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// The counters that the server logs on USR1 and at its end.
    @Suite(.serialized) struct CountTests {
        private static let text = "count me"

        @Test(arguments: ServerModel.all)
        func `the counters add up after a load, refusals and a reset`(model: ServerModel) throws {
            try withServer(model, ["--max-connections-per-ip", "3"]) { server in
                let port = try server.port
                for number in 1...20 {
                    try #expect(server.answer(to: CountTests.text) == "COUNT ME")
                    // A client has left once the server has counted its end.
                    _ = try server.waitForCounts { $0["ended_done"] == number }
                }
                let clients = try inParallel(3) { _ in
                    let client = try server.connect()
                    try client.expect("HELLO", to: "hello")
                    return client
                }
                for _ in 0..<5 {
                    let client = try server.connect()
                    try #expect(client.receive() == nil)
                    client.close()
                }
                let full = try server.waitForCounts {
                    $0["open"] == 3 && $0["refused_peer_full"] == 5 && $0["bytes_out"] == $0["bytes_in"]
                }
                full.expectToAddUp(open: 3)
                #expect(full["accepted"] == 23)
                #expect(full["refused_peer_full"] == 5)
                #expect(full["ended_done"] == 20)
                #expect(full["bytes_in"] == 20 * CountTests.text.utf8.count + 3 * 5)
                #expect(full["bytes_out"] == full["bytes_in"])
                for client in clients { client.close() }
                _ = try server.waitForCounts { $0["ended_done"] == 23 }
                let socket = try RawSocket(port: port)
                _ = socket.sendUntilFull()
                socket.reset()
                let last = try server.waitForCounts { $0["open"] == 0 && $0["ended_peer_gone"] == 1 }
                last.expectToAddUp(open: 0)
                #expect(last["accepted"] == 24)
                #expect(last["ended_done"] == 23)
                server.program.send(SIGTERM)
                try #expect(server.program.waitForExitOnHub() == .status(0))
                #expect(server.lastCounts?["accepted"] == 24)
            }
        }

        /// The children serve one client each, or are workers that are replaced.
        @Test(arguments: ServerModel.all)
        func `the counters add up at any moment, while clients come and go and children are killed`(
            model: ServerModel
        ) throws {
            try withServer(model, adjust: { $0.environment["SWIFT_BACKTRACE"] = "enable=no" }) { server in
                var killed = 0
                let most = 8
                let comers = (0..<most).map { number in spawn { try server.comeAndGo(leavingByReset: number % 2 == 0) }
                }
                var last = try server.waitForCounts { $0["ended_done"] > 0 }
                for look in 0..<20 {
                    let counts = try server.counts()
                    counts.expectToFollow(last)
                    last = counts
                    if look % 5 == 4, let child = try server.descriptorsOfChildren().keys.randomElement() {
                        killed += kill(child, SIGKILL) == 0 ? 1 : 0
                    }
                }
                for comer in comers { comer.kill() }
                for comer in comers { _ = try? comer.value() }
                if model.isSupervised {
                    try #expect(eventuallyOnHub { try server.program.status().children.count == model.workers })
                }
                let counts = try server.waitForCounts { $0["open"] == 0 }
                counts.expectToAddUp(open: 0)
                #expect(counts["ended_done"] > 0)
                // A child that is killed between two clients ends no connection.
                let perDeath = model.kind == .green ? most : 1
                #expect(counts["ended_crashed"] <= killed * perDeath)
                try server.expectOnly(clients: 0)
            }
        }
    }
}
