import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// Limits on what one client may take: time, and connections.
    @Suite(.serialized) struct LimitTests {
        @Test(arguments: ServerModel.all)
        func `a client that sends nothing for the idle timeout is disconnected, others are not`(
            model: ServerModel
        ) throws {
            try withServer(model, ["--idle-timeout", "0.5"]) { server in
                let (silent, lively) = (try server.connect(), try server.connect())
                defer {
                    silent.close()
                    lively.close()
                }
                // Measured from before the idle time begins: the client may receive the answer later than the server has sent it.
                let start = Deadline.now
                try silent.expect("HELLO", to: "hello")
                let talking = spawn { try lively.talk() }
                // A reset would throw.
                try #expect(silent.receive() == nil)
                let time = Deadline.now - start
                #expect(time > .milliseconds(450))
                #expect(time < .milliseconds(500) + slack)
                #expect(!talking.hasEnded)
                talking.kill()
                try talking.join()
                let counts = try server.waitForCounts { $0["ended_idle"] == 1 && $0["open"] == 1 }
                counts.expectToAddUp(open: 1)
                #expect(counts["ended_idle"] == 1)
            }
        }

        @Test(arguments: ServerModel.all)
        func `a client that does not read for the write timeout is disconnected`(model: ServerModel) throws {
            try withServer(model, ["--write-timeout", "0.3"]) { server in
                let client = try server.connect()
                defer { client.close() }
                // The client sends without end and never reads an answer.
                let error = #expect(throws: NetError.self) { try client.send(.max, of: .upper) }
                #expect(error?.isPeerGone == true)
                try server.expectOnly(clients: 0)
                let counts = try server.waitForCounts { $0["open"] == 0 }
                counts.expectToAddUp(open: 0)
                #expect(counts["ended_slow"] == 1)
            }
        }

        @Test(arguments: ServerModel.all)
        func `one address gets as many connections as its limit and no more`(model: ServerModel) throws {
            // A pool has one more context, to close the next connection.
            let count = 3
            try withServer(model, ["--max-connections-per-ip", "\(count)"]) { server in
                let clients = try inParallel(count) { _ in
                    let client = try server.connect()
                    try client.expect("HELLO", to: "hello")
                    return client
                }
                let oneMore = try server.connect()
                try #expect(oneMore.receive() == nil)
                oneMore.close()
                clients[0].close()
                try #expect(eventuallyOnHub { (try? server.answer(to: "room")) == "ROOM" })
                for client in clients { client.close() }
            }
        }

        @Test(arguments: ServerModel.all)
        func `while one address is at its limit, others are served`(model: ServerModel) throws {
            try withServer(model, ["--max-connections-per-ip", "2"]) { server in
                let greedy = try inParallel(2) { _ in
                    let client = try server.connect()
                    try client.expect("HELLO", to: "hello")
                    return client
                }
                let other = try Connection.connect(to: server.address, from: SocketAddress(ip: "127.0.0.2", port: 0))
                try other.expect("ME TOO", to: "me too")
                let oneMore = try server.connect()
                try #expect(oneMore.receive() == nil)
                for client in greedy + [other, oneMore] { client.close() }
                // The server counts a refusal a moment after it has closed the connection.
                let counts = try server.waitForCounts { $0["open"] == 0 && $0["refused_peer_full"] > 0 }
                counts.expectToAddUp(open: 0)
                #expect(counts["refused_peer_full"] == 1)
            }
        }
    }
}

extension Connection {
    /// Sends a request every now and then, until killed.
    fileprivate func talk() throws {
        while true {
            try expect("STILL HERE", to: "still here")
            try Greenlet.sleep(for: .milliseconds(20))
        }
    }
}
