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
