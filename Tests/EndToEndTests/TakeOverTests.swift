import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// `--take-over`: one instance after the other serves the same listeners.
    @Suite(.serialized) struct TakeOverTests {
        private static let models = ServerModel.testable(
            .green, .greenWorkers, .greenProcesses, .thread, .process, .forkServer, .processPool)

        @Test(arguments: models, [false, true])
        func `under load, no client is refused and no answer is lost`(model: ServerModel, onPath: Bool) throws {
            try withTemporaryDirectory { directory in
                let path = "\(directory)/take-over"
                let place = onPath ? ["--unix-socket", "\(directory)/echo"] : []
                try withServer(model, place + ["--take-over", path]) { first in
                    let clients = SteadyClients(first.address)
                    defer { clients.stop() }
                    // The place from which the next instance is asked for is there soon after the listeners.
                    try #require(eventuallyOnHub { access(path, F_OK) == 0 && clients.answers > 50 })
                    let port = onPath ? [] : ["--port", "\(try first.port)"]
                    let second = try Program(Server.launch(model, place + port + ["--take-over", path]))
                    defer { second.end() }
                    try second.waitOnHub(forLineContaining: "took the listeners of another instance over")
                    try #expect(first.program.waitForExitOnHub(within: .seconds(20)) == .status(0))
                    let before = clients.answers
                    try #require(eventuallyOnHub { clients.answers > before + 50 })
                    #expect(clients.areWell)
                    // A third one takes over from the second.
                    let third = try Program(Server.launch(model, place + port + ["--take-over", path]))
                    defer { third.end() }
                    try third.waitOnHub(forLineContaining: "took the listeners of another instance over")
                    try #expect(second.waitForExitOnHub(within: .seconds(20)) == .status(0))
                    #expect(clients.areWell)
                    clients.stop()
                    third.send(SIGTERM)
                    try #expect(third.waitForExitOnHub(within: .seconds(20)) == .status(0))
                    #expect(!onPath || access("\(directory)/echo", F_OK) != 0)
                    #expect(access(path, F_OK) != 0)
                }
            }
        }

        @Test func `an open connection goes on with the instance that accepted it`() throws {
            try withTemporaryDirectory { directory in
                let path = "\(directory)/take-over"
                try withServer(.green, ["--take-over", path]) { first in
                    let connection = try first.connect()
                    defer { connection.close() }
                    try connection.expect("ONE", to: "one")
                    try #require(eventuallyOnHub { access(path, F_OK) == 0 })
                    let arguments = ["--port", "\(try first.port)", "--workers", "3", "--take-over", path]
                    let second = try Program(Server.launch(.green, arguments))
                    defer { second.end() }
                    try first.program.waitOnHub(forLineContaining: "another instance has taken the listeners over")
                    try connection.expect("TWO", to: "two")
                    #expect(!first.program.hasEnded)
                    try #expect(first.answer(to: "new") == "NEW")
                    connection.close()
                    try #expect(first.program.waitForExitOnHub() == .status(0))
                    try #expect(first.answer(to: "newer") == "NEWER")
                }
            }
        }

        @Test func `datagrams are answered by the next instance, at the same port`() throws {
            try withTemporaryDirectory { directory in
                let arguments = ["--udp", "--take-over", "\(directory)/take-over"]
                try withServer(.green, arguments) { first in
                    try #require(eventuallyOnHub { access("\(directory)/take-over", F_OK) == 0 })
                    let second = try Program(Server.launch(.green, arguments + ["--port", "\(try first.port)"]))
                    defer { second.end() }
                    try #expect(first.program.waitForExitOnHub(within: .seconds(20)) == .status(0))
                    let socket = try Datagram(bind: .loopback(port: 0))
                    defer { socket.close() }
                    try socket.send(Array("hello".utf8), to: first.address)
                    let answer = try socket.receive(upTo: 100, until: .after(.patient(10)))
                    #expect(answer.bytes == Array("HELLO".utf8))
                }
            }
        }

        @Test func `of two that take over at once both come to serve, one after the other`() throws {
            try withTemporaryDirectory { directory in
                let arguments = ["--take-over", "\(directory)/take-over"]
                try withServer(.green, arguments) { first in
                    try #require(eventuallyOnHub { access("\(directory)/take-over", F_OK) == 0 })
                    let next = try (0..<2).map { _ in
                        try Program(Server.launch(.green, arguments + ["--port", "\(try first.port)"]))
                    }
                    defer { for program in next { program.end() } }
                    try #expect(first.program.waitForExitOnHub(within: .seconds(20)) == .status(0))
                    try #expect(eventuallyOnHub(within: .seconds(20)) { next.count(where: \.hasEnded) == 1 })
                    let ended = next[0].hasEnded ? next[0] : next[1]
                    try #expect(ended.waitForExitOnHub() == .status(0), "\(ended.standardError.textToEnd())")
                    try #expect(first.answer(to: "still here") == "STILL HERE")
                }
            }
        }

        @Test(arguments: [true, false])
        func `an admin interface is taken where its address is the wanted one, and its path stays`(isSame: Bool) throws
        {
            try withTemporaryDirectory { directory in
                let arguments = ["--take-over", "\(directory)/take-over", "--admin"]
                let (old, new) = ("\(directory)/old", isSame ? "\(directory)/old" : "\(directory)/new")
                try withServer(.green, arguments + [old]) { first in
                    try #require(eventuallyOnHub { access("\(directory)/take-over", F_OK) == 0 })
                    let second = try Program(Server.launch(.green, arguments + [new, "--port", "\(try first.port)"]))
                    defer { second.end() }
                    try #expect(first.program.waitForExitOnHub(within: .seconds(20)) == .status(0))
                    let admin = try Connection.connect(to: .unix(path: new), until: .after(.patient(10)))
                    defer { admin.close() }
                    try admin.sendAll("GET /healthz HTTP/1.0\r\n\r\n")
                    try #expect(String(decoding: admin.receiveToEnd(), as: UTF8.self).hasPrefix("HTTP/1.1 200"))
                }
            }
        }

        @Test func `the paths of sockets that the next instance does not want are removed`() throws {
            try withTemporaryDirectory { directory in
                let arguments = ["--take-over", "\(directory)/take-over"]
                let (path, admin) = ("\(directory)/echo", "\(directory)/admin")
                try withServer(.green, arguments + ["--listen", "tcp:127.0.0.1:0,unix:\(path)", "--admin", admin]) {
                    first in
                    try #require(eventuallyOnHub { access("\(directory)/take-over", F_OK) == 0 })
                    let second = try Program(Server.launch(.green, arguments + ["--port", "\(try first.port)"]))
                    defer { second.end() }
                    try #expect(first.program.waitForExitOnHub(within: .seconds(20)) == .status(0))
                    try #expect(eventuallyOnHub { access(path, F_OK) != 0 && access(admin, F_OK) != 0 })
                    try #expect(first.answer(to: "still here") == "STILL HERE")
                }
            }
        }

        @Test func `one of another version is refused, with the reason, and the old one goes on`() throws {
            try withTemporaryDirectory { directory in
                let path = "\(directory)/take-over"
                try withServer(.green, ["--take-over", path]) { server in
                    try #require(eventuallyOnHub { access(path, F_OK) == 0 })
                    for (question, answer) in [
                        (
                            "echo-server-take-over 2\n",
                            "error version 2 of the take-over is not supported; this instance has 1\n"
                        ), ("hello\n", "error 'hello' is no message\n"),
                        ("serving\n", "error 'serving' is not expected\n"),
                    ] {
                        let other = try Connection.connect(to: .unix(path: path))
                        defer { other.close() }
                        try other.sendAll(question)
                        try #expect(String(decoding: other.receiveToEnd(), as: UTF8.self) == answer)
                    }
                    // One that leaves after it has got the listeners.
                    let other = try Connection.connect(to: .unix(path: path))
                    try other.sendAll("echo-server-take-over 1\n")
                    let received = try other.receiveDescriptors(upTo: 10)
                    #expect(received?.bytes == Array("listeners 1 0\n".utf8))
                    for descriptor in received?.descriptors ?? [] { close(descriptor) }
                    #expect(received?.descriptors.count == 1)
                    other.close()
                    try server.program.waitOnHub(forLineContaining: "the listeners were not taken over", count: 4)
                    try #expect(server.answer(to: "still here") == "STILL HERE")
                }
            }
        }

        @Test func `an instance that is refused ends with status 69 and the reason`() throws {
            try withTemporaryDirectory { directory in
                try onHub {
                    let path = "\(directory)/take-over"
                    let listener = try Listener(on: .unix(path: path))
                    defer { listener.close() }
                    let program = try Program(
                        Program.built("echo-server", ["--port", "0", "--take-over", path]))
                    defer { program.end() }
                    let client = try listener.accept(until: .after(.patient(10)))
                    try #expect(client.receive() == Array("echo-server-take-over 1\n".utf8))
                    try client.sendAll("error version 1 of the take-over is not supported; this instance has 2\n")
                    try #expect(program.waitForExitOnHub() == .status(69))
                    let error = program.standardError.textToEnd()
                    #expect(
                        error.contains("it answers: version 1 of the take-over is not supported; this instance has 2"))
                }
            }
        }
    }
}
