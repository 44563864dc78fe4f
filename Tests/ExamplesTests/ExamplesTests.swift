import Glibc
import GreenNet
import TestSupport
import Testing

/// The programs that a newcomer reads first, run as a newcomer runs them.
@Suite(.serialized) struct ExamplesTests {
    /// Runs a program that ends by itself, and returns the lines that it has printed.
    private func lines(of name: String) throws -> [String] {
        let result = try Program.run(Program.built(name), within: .seconds(30))
        #expect(result.exit == .status(0))
        #expect(result.error == "")
        return result.output.split(separator: "\n").map(String.init)
    }

    /// Runs a server while `body` uses the port from its first line; then ends it with TERM.
    private func whileServing(
        _ name: String, _ arguments: [String], _ body: @escaping (UInt16) throws -> Void
    ) throws {
        let server = try Program(Program.built(name, arguments))
        defer { server.end() }
        let line = server.standardOutput.waitForLine(containing: "127.0.0.1:", within: .seconds(20))
        let address = try #require(line?.split(separator: " ").first { $0.hasPrefix("127.0.0.1:") })
        try body(#require(UInt16(address.dropFirst("127.0.0.1:".count))))
        server.send(SIGTERM)
        try #expect(server.waitForExit() == .status(0))
        #expect(server.standardError.textToEnd() == "")
    }

    // MARK: Programs that end by themselves

    @Test func `ping and pong strike in turn, and the last stroke ends the game`() throws {
        try #expect(
            lines(of: "PingPong")
                == ["ping 0", "  pong 1", "ping 2", "  pong 3", "ping 4", "  pong 5", "6 strokes"])
    }

    @Test func `the pipeline of generators gives the first prime twins`() throws {
        let twins = [3, 5, 11, 17, 29, 41, 59, 71].map { "\($0) and \($0 + 2)" }
        try #expect(lines(of: "GeneratorPipeline") == twins)
    }

    @Test func `each loaf of the producers is bought by one consumer`() throws {
        let lines = try lines(of: "ProducersAndConsumers")
        let loaves = ["rye", "wheat", "spelt"].flatMap { name in (1...4).map { "\(name) \($0)" } }
        let bought = lines.dropLast().compactMap { line in line.split(separator: " buys ").last.map(String.init) }
        #expect(bought.sorted() == loaves.sorted())
        for customer in ["Ann", "Ben"] { #expect(lines.contains { $0.hasPrefix("\(customer) buys ") }) }
        #expect(lines.last == "sold: 12")
    }

    @Test func `all images are there in their order, and no more than three came at a time`() throws {
        let names = ["ash", "beech", "cedar", "elm", "fir", "hazel", "larch", "oak", "pine", "yew"]
        let expected = names.map { name in
            let side = 10 * (name.count + "/.pgm".count)
            return "\(name).pgm: \("P5 \(side) \(side) 255\n".count + side * side) bytes"
        }
        try #expect(lines(of: "ImageDownloads") == expected + ["at most 3 at a time"])
    }

    // MARK: Servers

    @Test func `the forwarder passes on both directions, and the end of each`() throws {
        try onHub {
            let text = [UInt8]((0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 / 251) })
            let echo = try StreamServer(on: .loopback(port: 0)) { connection in
                while let bytes = try connection.receive() { try connection.sendAll(bytes) }
                try connection.sendAll(Array("the end".utf8))
            }
            echo.start()
            let port = echo.listeners[0].address.port!
            try whileServing("PortForwarder", ["0", "localhost", "\(port)"]) { forwarder in
                let connection = try client(of: forwarder)
                try withGreenGroup { group in
                    group.spawn {
                        try connection.sendAll(text)
                        try connection.shutdownSending()
                    }
                    try #expect(connection.receive(exactly: text.count, until: .after(.seconds(10))) == text)
                }
                try #expect(connection.receiveAll(until: .after(.seconds(10))) == Array("the end".utf8))
            }
            try echo.stop()
        }
    }

    @Test(arguments: ["127.0.0.1", "localhost"])
    func `curl gets a page through the SOCKS proxy, by address and by name`(host: String) throws {
        try withWebServer { port in
            try whileServing("SOCKSProxy", ["0"]) { proxy in
                let answer = try curl(proxy, "http://\(host):\(port)/")
                #expect(answer.exit == .status(0))
                #expect(answer.output == page)
            }
        }
    }

    @Test func `curl reaches an IPv6 address through the SOCKS proxy`() throws {
        try withWebServer(SocketAddress(ip: "::1", port: 0)!) { port in
            try whileServing("SOCKSProxy", ["0"]) { proxy in
                try #expect(curl(proxy, "http://[::1]:\(port)/").output == page)
            }
        }
    }

    /// curl's words for each of the proxy's replies.
    @Test func `what the SOCKS proxy cannot do, it answers with the reason`() throws {
        try whileServing("SOCKSProxy", ["0"]) { proxy in
            let refused = try curl(proxy, "http://127.0.0.1:1/")
            #expect(refused.exit == .status(97))
            #expect(refused.error.contains("(5)"), "\(refused.error)")
            let unknown = try curl(proxy, "http://no-such-host.invalid/")
            #expect(unknown.error.contains("(4)"), "\(unknown.error)")
            try onHub {
                let exchanges: [([UInt8], [UInt8])] = [
                    ([5, 1, 2], [5, 0xff]),  // passwords only
                    ([5, 1, 0, 5, 2, 0, 1, 127, 0, 0, 1, 0, 80], [5, 0, 5, 7, 0, 1, 0, 0, 0, 0, 0, 0]),  // BIND
                    ([5, 1, 0, 5, 1, 0, 9], [5, 0, 5, 8, 0, 1, 0, 0, 0, 0, 0, 0]),  // no such kind of address
                    ([4, 1], []),  // SOCKS4
                ]
                for (question, answer) in exchanges {
                    let connection = try client(of: proxy)
                    try connection.sendAll(question)
                    try #expect(connection.receiveAll(until: .after(.seconds(10))) == answer)
                }
            }
        }
    }

    private var page: String { String(repeating: "a page that came through\n", count: 10_000) }

    /// Serves `page` at each path, while `body` runs with its port on another OS thread.
    private func withWebServer(
        _ address: SocketAddress = .loopback(port: 0), _ body: @escaping @Sendable (UInt16) throws -> Void
    ) throws {
        let page = page
        try onHub {
            let server = try StreamServer(on: address) { connection in
                _ = try connection.receive()
                try connection.sendAll("HTTP/1.0 200 OK\r\nContent-Length: \(page.utf8.count)\r\n\r\n\(page)")
                try connection.shutdownSending()
                while try connection.receive() != nil {}
            }
            server.start()
            let port = server.listeners[0].address.port!
            try Hub.current.offload { try body(port) }
            try server.stop()
        }
    }

    private func curl(_ proxy: UInt16, _ url: String) throws -> (exit: Program.Exit, output: String, error: String) {
        let launch = Program.Launch(
            "/usr/bin/curl", ["-sS", "--max-time", "20", "--socks5-hostname", "127.0.0.1:\(proxy)", url])
        return try Program.run(launch, within: .seconds(30))
    }

    @Test func `what a guest of the chat writes, the others read`() throws {
        try whileServing("ChatServer", ["0"]) { port in
            try onHub {
                let ann = try Guest("Ann", port)
                let ben = try Guest("Ben", port)
                try ann.expect("Ben is here")
                try ann.say("hello")
                try ben.expect("Ann: hello")
                try ben.say("hello yourself")
                // Ann does not get her own lines.
                try ann.expect("Ben: hello yourself")
                ben.connection.close()
                try ann.expect("Ben is gone")
                let other = try client(of: port)
                try other.sendAll(Array("Ann\n".utf8))
                let answer = try other.receiveAll(until: .after(.seconds(10)))
                #expect(String(decoding: answer, as: UTF8.self) == "What is your name?\nThat name is taken.\n")
            }
        }
    }
}

extension ExamplesTests {
    @Test func `a guest whose line is too long is gone, and the others stay`() throws {
        try whileServing("ChatServer", ["0"]) { port in
            try onHub {
                let ann = try Guest("Ann", port)
                let ben = try Guest("Ben", port)
                try ann.expect("Ben is here")
                try ben.say(String(repeating: "x", count: 1000))
                try ann.expect("Ben: \(String(repeating: "x", count: 1000))")
                try ben.say(String(repeating: "x", count: 1001))
                try ann.expect("Ben is gone")
            }
        }
    }

    @Test func `four hundred lines in one packet reach a guest who reads at once, all of them`() throws {
        try whileServing("ChatServer", ["0"]) { port in
            try onHub {
                let ann = try Guest("Ann", port)
                let ben = try Guest("Ben", port)
                try ann.expect("Ben is here")
                let lines = (1...400).map { "line \($0)" }
                let all = lines.map { "\($0)\n" }.joined()
                try ann.connection.sendAll(Array(all.utf8))
                for line in lines { try ben.expect("Ann: \(line)") }
            }
        }
    }
}

// MARK: - HTTPServer

extension ExamplesTests {
    /// What curl prints for a request, with the status and the number of connections that it has made.
    private func curl(_ port: UInt16, _ arguments: [String], _ path: String = "/", times: Int = 1) throws -> [String] {
        let format = ["-s", "-m", "20", "-w", "%{http_code} %{num_connects}\\n"]
        let urls = Array(repeating: "http://127.0.0.1:\(port)\(path)", count: times)
        let result = try ChildProcess.run("curl", format + arguments + urls)
        return String(decoding: result.output, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    @Test func `curl gets its answers over one connection, and what it posts comes back`() throws {
        try whileServing("HTTPServer", ["0"]) { port in
            try onHub {
                let lines = try curl(port, [], "/hello", times: 3)
                #expect(lines.count == 6)
                for line in stride(from: 0, to: 6, by: 2) {
                    #expect(lines[line].hasPrefix("GET /hello from 127.0.0.1:"))
                }
                #expect([lines[1], lines[3], lines[5]] == ["200 1", "200 0", "200 0"])
                try #expect(curl(port, ["-d", "posted\n"]) == ["posted", "200 1"])
                // Longer than curl sends unasked.
                let long = String(repeating: "x", count: 1 << 20)
                try withTemporaryPath("body") { path in
                    try write(long, to: path)
                    let echoed = try curl(port, ["-H", "Expect: 100-continue", "--data-binary", "@\(path)"])
                    #expect(echoed == [long + "200 1"])
                    try write(long + "x", to: path)
                    try #expect(curl(port, ["--data-binary", "@\(path)"]).last?.hasPrefix("413") == true)
                }
                let head = String(repeating: "h", count: 16_384)
                try #expect(curl(port, ["-H", "Long: \(head)"]).last?.hasPrefix("431") == true)
                try #expect(curl(port, ["-H", "Transfer-Encoding: chunked", "-d", "x"]).last?.hasPrefix("501") == true)
                try #expect(curl(port, ["-0"]).last?.hasPrefix("400") == true)
            }
        }
    }

    @Test func `requests that come byte by byte, and two at once, are answered in order`() throws {
        try whileServing("HTTPServer", ["0"]) { port in
            try onHub {
                let requests = Array("GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc".utf8)
                let last = Array("GET /3 HTTP/1.1\r\nConnection: close\r\n\r\n".utf8)
                for pieces in [[requests + last], (requests + last).map { [$0] }] {
                    let connection = try client(of: port)
                    for piece in pieces { try connection.sendAll(piece) }
                    let lines = LineReader(connection)
                    var answers: [String] = []
                    while let line = try lines.next(until: .after(.seconds(10))) { answers.append(line) }
                    #expect(answers.filter { $0 == "HTTP/1.1 200 OK" || $0 == "abcHTTP/1.1 200 OK" }.count == 3)
                    #expect(answers.filter { $0.hasPrefix("GET /1 ") || $0.hasPrefix("GET /3 ") }.count == 2)
                    connection.close()
                }
                let smuggler = try client(of: port)
                try smuggler.sendAll("POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")
                let refusal = try LineReader(smuggler).next(until: .after(.seconds(10)))
                #expect(refusal == "HTTP/1.1 400 Bad Request")
                smuggler.close()
            }
        }
    }
}

// MARK: - RedisClient

extension ExamplesTests {
    @Test func `the client of Redis shows each kind of reply`() throws {
        try onHub {
            let replies = [
                "SET a 1": "+OK\r\n", "GET a": "$4\r\n1\r\n2\r\n", "GET b": "$-1\r\n", "INCR a": ":2\r\n",
                "X": "-ERR unknown\r\n",
                "KEYS *": "*3\r\n$1\r\na\r\n:7\r\n*-1\r\n", "GET c": "$0\r\n\r\n",
            ]
            let server = try StreamServer(on: .loopback(port: 0)) { connection in
                let lines = LineReader(connection)
                while let count = try lines.next() {
                    let words = try (0..<Int(count.dropFirst())!).map { _ in
                        let length = Int(try lines.next()!.dropFirst())!
                        return String(decoding: try lines.reader.exactly(length + 2).dropLast(2), as: UTF8.self)
                    }
                    // Byte by byte: a reply comes in many pieces.
                    for byte in replies[words.joined(separator: " ")]!.utf8 { try connection.sendAll([byte]) }
                }
            }
            server.start()
            let commands = "SET a 1\nGET a\n\nGET b\nINCR a\nX\nKEYS *\nGET c\n"
            let port = "\(server.listeners[0].address.port!)"
            let result = try ChildProcess.run(Program.built("RedisClient").path, [port], input: Array(commands.utf8))
            #expect(String(decoding: result.errorOutput, as: UTF8.self) == "")
            let lines = String(decoding: result.output, as: UTF8.self)
            #expect(lines == "OK\n1\r\n2\nnothing\n2\nerror: ERR unknown\n[a, 7, nothing]\n\n")
            try server.stop()
        }
    }
}

// MARK: - ThreeStages

extension ExamplesTests {
    @Test func `a thousand lines pass three stages in their order, and the end of the input ends each stage`() throws {
        try onHub {
            try withTemporaryPath("lines.txt") { path in
                let lines = (1...1000).map { "line \($0)" }
                let input = Array(lines.joined(separator: "\n\n").utf8)
                let result = try ChildProcess.run(Program.built("ThreeStages").path, [path], input: input)
                #expect(result.exit == .status(0) && result.errorOutput == [])
                try #expect(readFile(path) == Array(lines.map { "\($0.uppercased())\n" }.joined().utf8))
            }
        }
    }
}

private func client(of port: UInt16) throws -> Connection {
    try Connection.connect(to: SocketAddress(ip: "127.0.0.1", port: port)!, until: .after(.seconds(10)))
}

/// A guest of the chat.
private struct Guest {
    let connection: Connection

    init(_ name: String, _ port: UInt16) throws {
        connection = try client(of: port)
        try expect("What is your name?")
        try say(name)
        try expect("\(name) is here")
    }

    func say(_ line: String) throws { try connection.sendAll(Array("\(line)\n".utf8)) }

    /// Expects `line` next, and nothing before it.
    func expect(_ line: String) throws {
        let bytes = try connection.receive(exactly: line.utf8.count + 1, until: .after(.seconds(10)))
        #expect(String(decoding: bytes, as: UTF8.self) == "\(line)\n")
    }
}
