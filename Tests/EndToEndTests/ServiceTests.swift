import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// The services beside echo over TCP.
    @Suite(.serialized) struct ServiceTests {
        @Test(arguments: ServerModel.all)
        func `discard takes everything and answers nothing`(model: ServerModel) throws {
            try withServer(model, ["--service=discard"]) { server in
                let connection = try server.connect()
                defer { connection.close() }
                try connection.send(16 << 20, of: .upper)
                try connection.shutdownSending()
                try #expect(connection.receiveToEnd() == [])
            }
        }

        @Test(arguments: ServerModel.all)
        func `chargen sends lines up to its limit, and the end without a reset`(model: ServerModel) throws {
            try withServer(model, ["--service=chargen", "--chargen-limit=100K"]) { server in
                let connection = try server.connect()
                defer { connection.close() }
                try connection.sendAll("what chargen does not read")
                let bytes = try connection.receiveToEnd()
                #expect(bytes.count == 100_000)
                let lines = bytes.split(separator: UInt8(ascii: "\n"))
                #expect(lines[0].first == UInt8(ascii: " ") && lines[1].first == UInt8(ascii: "!"))
                #expect(lines.dropLast().allSatisfy { $0.count == 73 })
            }
        }

        @Test(arguments: ServerModel.all)
        func `daytime and time answer and end`(model: ServerModel) throws {
            try withServer(model, ["--service=daytime"]) { server in
                let answer = String(decoding: try server.connect().receiveToEnd(), as: UTF8.self)
                #expect(answer.hasSuffix("-UTC\r\n"))
            }
            try withServer(model, ["--service=time"]) { server in
                let answer = try server.connect().receiveToEnd()
                let seconds = answer.reduce(0) { $0 << 8 | Int($1) } - 2_208_988_800
                #expect(answer.count == 4)
                #expect(abs(seconds - Glibc.time(nil)) < 60)
            }
        }

        // MARK: Datagrams

        private func ask(_ server: Server, _ text: String, from socket: Datagram) throws -> String? {
            try socket.send(text, to: server.address)
            do throws(NetError) {
                return String(
                    decoding: try socket.receive(upTo: 65_535, until: .after(.milliseconds(500))).bytes, as: UTF8.self)
            } catch {
                if error.isTimeout { return nil }
                throw error
            }
        }

        private func withDatagrams(
            _ model: ServerModel, _ arguments: [String] = [],
            _ body: @escaping @Sendable (Server, Datagram) throws -> Void
        ) throws {
            try withServer(model, ["--udp"] + arguments) { server in
                let socket = try Datagram(bind: .loopback(port: 0))
                defer { socket.close() }
                try body(server, socket)
            }
        }

        @Test(arguments: ServerModel.all)
        func `datagrams are answered at the port of the connections`(model: ServerModel) throws {
            try withDatagrams(model) { server, socket in
                try #expect(ask(server, "hello", from: socket) == "HELLO")
                try #expect(ask(server, "", from: socket) == "")
                let long = String(repeating: "x", count: 65_507)
                try #expect(ask(server, long, from: socket)?.utf8.count == 65_507)
                try #expect(server.answer(to: "tcp") == "TCP")
            }
        }

        @Test func `many datagrams at once each get their answer`() throws {
            try withDatagrams(.green, ["--udp-rate=1000000"]) { server, socket in
                let batch = DatagramBatch(capacity: 100, size: 100)
                var answered = Set<String>()
                for round in 0..<20 {
                    batch.removeAll()
                    for number in 0..<100 { try batch.append(Array("n\(round).\(number)".utf8), to: server.address) }
                    try socket.send(batch)
                    let end = Deadline.after(.patient(10))
                    while answered.count < (round + 1) * 100 {
                        try answered.insert(
                            String(decoding: socket.receive(upTo: 100, until: end).bytes, as: UTF8.self))
                    }
                }
                #expect(answered.contains("N19.99"))
            }
        }

        @Test func `more datagrams than the rate get no answer`() throws {
            try withDatagrams(.green, ["--udp-rate=3"]) { server, socket in
                for _ in 0..<50 { try socket.send("x", to: server.address) }
                var answers = 0
                let end = Deadline.after(.milliseconds(500))
                while (try? socket.receive(upTo: 10, until: end)) != nil { answers += 1 }
                // The 50 may lie on both sides of the turn of a second.
                #expect(answers == 3 || answers == 6)
            }
        }

        @Test(.enabled(if: geteuid() == 0, "a port below 1024 takes root"))
        func `a question from a port below 1024 gets no answer`() throws {
            try withDatagrams(.green) { server, socket in
                let low = (900..<1000).lazy.compactMap { try? Datagram(bind: .loopback(port: UInt16($0))) }.first
                let echo = try #require(low)
                defer { echo.close() }
                try #expect(ask(server, "loop", from: echo) == nil)
                try #expect(ask(server, "hello", from: socket) == "HELLO")
            }
        }

        @Test func `a question from the server's own port gets no answer`() throws {
            try withDatagrams(.green) { server, socket in
                let other = try Datagram(bind: SocketAddress(ip: "127.0.0.2", port: server.port)!)
                defer { other.close() }
                try #expect(ask(server, "loop", from: other) == nil)
                try #expect(ask(server, "hello", from: socket) == "HELLO")
            }
        }

        @Test func `a question from another port of the server gets no answer`() throws {
            try withServer(.green, ["--udp", "--listen", "tcp:127.0.0.1:0,udp:127.0.0.1:0"]) { server in
                try server.program.waitOnHub(forLineContaining: "serving datagrams", count: 2)
                let line = try #require(server.log.last { $0.contains("serving datagrams") })
                let port = try #require(line.firstMatch(of: /127\.0\.0\.1:([0-9]+)/).flatMap { UInt16($0.1) })
                let other = try Datagram(bind: SocketAddress(ip: "127.0.0.2", port: port)!)
                defer { other.close() }
                try #expect(ask(server, "loop", from: other) == nil)
            }
        }

        @Test(arguments: [["--deny", "127.0.0.1"], ["--allow", "127.0.0.9"]])
        func `a client that is not served gets no answer to a datagram`(arguments: [String]) throws {
            try withDatagrams(.green, arguments) { server, socket in
                try #expect(ask(server, "hello", from: socket) == nil)
                let allowed = try Datagram(bind: SocketAddress(ip: "127.0.0.9", port: 0)!)
                defer { allowed.close() }
                try #expect(ask(server, "hello", from: allowed) == "HELLO")
            }
        }

        @Test(arguments: [("reverse", "olleh\nuoy"), ("rot13", "uryyb\nlbh"), ("discard", nil)])
        func `datagrams are answered by the transform`(transform: String, answer: String?) throws {
            try withDatagrams(.green, ["--transform", transform]) { server, socket in
                try #expect(ask(server, "hello\nyou", from: socket) == answer)
            }
        }

        @Test(arguments: [["--udp"], ["--listen", "tcp:127.0.0.1:0,udp:127.0.0.1:0"]])
        func `whoami does not go with datagrams, whose answers would be longer than the questions`(
            arguments: [String]
        ) throws {
            let result = try Program.run(Program.built("echo-server", arguments + ["--transform", "whoami"]))
            #expect(result.exit == .status(64))
            #expect(
                result.error.contains(
                    "'whoami' does not go with UDP, where an answer is no longer than its question"))
        }

        @Test func `on all addresses, a datagram is answered from the one that was asked`() throws {
            try withServer(.green, ["--udp", "--host", "::"]) { server in
                let socket = try Datagram(bind: .loopback(port: 0))
                defer { socket.close() }
                for ip in ["127.0.0.2", "127.0.0.3"] {
                    let asked = try SocketAddress(ip: ip, port: server.port)!
                    try socket.send("hello", to: asked)
                    let (bytes, peer) = try socket.receive(upTo: 10, until: .after(.patient(10)))
                    #expect(bytes == Array("HELLO".utf8) && peer == asked)
                }
            }
        }

        @Test(arguments: [("discard", nil), ("chargen", 7), ("time", 4)])
        func `other services answer datagrams too`(service: String, length: Int?) throws {
            try withDatagrams(.green, ["--service=\(service)"]) { server, socket in
                try #expect(ask(server, "1234567", from: socket)?.unicodeScalars.isEmpty == length.map { _ in false })
                guard let length else { return }
                try socket.send("1234567", to: server.address)
                try #expect(socket.receive(upTo: 100, until: .after(.patient(10))).bytes.count == length)
            }
        }

        @Test func `a port of datagrams that another program has ends the start with status 69`() throws {
            try onHub {
                let taken = try Datagram(bind: .loopback(port: 0))
                defer { taken.close() }
                let port = try #require(taken.address.port)
                let result = try Program.run(Program.built("echo-server", ["--udp", "--port=\(port)"]))
                #expect(result.exit == .status(69))
                #expect(result.error.contains("address already in use (EADDRINUSE)"))
            }
        }
    }
}
