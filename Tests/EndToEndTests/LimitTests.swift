import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// Limits on what one client may take: time, and connections.
    @Suite(.serialized) struct LimitTests {
        @Test(arguments: ServerModel.all)
        func `a client that sends nothing for the idle timeout is sent away, others are not`(model: ServerModel) throws
        {
            try withServer(model, ["--idle-timeout", "0.5"]) { server in
                let (silent, lively) = (try server.connect(), try server.connect())
                defer {
                    silent.close()
                    lively.close()
                }
                // Before it begins to be idle: it may hear of the answer later than that was sent.
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
            }
        }

        @Test(arguments: ServerModel.all)
        func `a client that does not read for the write timeout is sent away`(model: ServerModel) throws {
            try withServer(model, ["--write-timeout", "0.3"]) { server in
                let client = try server.connect()
                defer { client.close() }
                // As much as it likes, and never reads an answer.
                let error = #expect(throws: NetError.self) { try client.send(.max, of: .upper) }
                #expect(error?.isPeerGone == true)
                try server.expectOnly(clients: 0)
            }
        }

        @Test(arguments: ServerModel.all)
        func `one address has so many connections and no more`(model: ServerModel) throws {
            // A pool has one more, so that somebody is there to turn the next one away.
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
    }
}

extension Connection {
    /// Asks every now and then, until killed.
    fileprivate func talk() throws {
        while true {
            try expect("STILL HERE", to: "still here")
            try Greenlet.sleep(for: .milliseconds(20))
        }
    }
}
