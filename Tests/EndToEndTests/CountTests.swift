import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// What the server has counted, as it says on USR1 and at its end.
    @Suite(.serialized) struct CountTests {
        private static let text = "count me"

        @Test(arguments: ServerModel.all)
        func `the counters add up after a load, refusals and a reset`(model: ServerModel) throws {
            try withServer(model, ["--max-connections-per-ip", "3"]) { server in
                let port = try server.port
                for number in 1...20 {
                    try #expect(server.answer(to: CountTests.text) == "COUNT ME")
                    // A client has left when that is counted, and not before.
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
    }
}
