import Glibc
import GreenNet
import ProgramKit
import TestSupport
import Testing

extension EndToEnd {
    /// `--inetd`: the connection is standard input.
    @Suite(.serialized) struct InetdTests {
        /// The kind of the connection.
        enum Kind: CaseIterable {
            case ipv4, unix
        }

        /// Which standard streams the connection is: all three, as inetd does it; input alone, as systemd does it with a log of its own.
        private static let redirections: [String?] = [">&0 2>&0", nil]

        /// Accepts one connection, and gives `body` its client's side, on a fresh hub, and the program that serves it.
        private func withServedClient(
            _ kind: Kind = .ipv4, _ arguments: [String] = [], redirections: String? = nil, blocks: Bool = true,
            adjust: @escaping @Sendable (inout Program.Launch) -> Void = { _ in },
            _ body: @escaping @Sendable (Connection, Program) throws -> Void
        ) throws {
            try withTemporaryPath { path in
                let address = kind == .unix ? .unix(path: path) : SocketAddress(ip: "127.0.0.1", port: 0)!
                let listener = try ListeningSocket(on: address, backlog: 1)
                defer { listener.close() }
                try onHub {
                    let client = try Connection.connect(to: listener.address)
                    defer { client.close() }
                    let accepted = Glibc.accept(listener.descriptor, nil, nil)
                    if !blocks { _ = fcntl(accepted, F_SETFL, O_NONBLOCK) }
                    var launch = try Program.built("echo-server", ["--inetd", "--log-level", "debug"] + arguments)
                    launch.input = accepted
                    launch.redirections = redirections
                    adjust(&launch)
                    let program = try Program(launch)
                    defer { program.end() }
                    close(accepted)
                    try body(client, program)
                    #expect(program.standardOutput.textToEnd() == "")
                }
            }
        }

        @Test(arguments: Kind.allCases, redirections)
        func `inetd mode serves one connection to its end and to the last byte`(
            kind: Kind, redirections: String?
        ) throws {
            try withServedClient(kind, redirections: redirections) { client, program in
                try client.expect("HELLO", to: "hello")
                try client.exchange(3 << 20, of: .upper)
                try #expect(program.waitForExit() == .status(0))
                #expect(program.standardError.textToEnd() == "")
            }
        }

        @Test func `inetd mode serves a socket pair`() throws {
            var ends: [Int32] = [-1, -1]
            try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
            _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
            var launch = try Program.built("echo-server", ["--inetd", "--transform", "echo"])
            launch.input = ends[1]
            let program = try Program(launch)
            defer { program.end() }
            close(ends[1])
            defer { close(ends[0]) }
            #expect(send(ends[0], "hello", 5, 0) == 5)
            shutdown(ends[0], Int32(SHUT_WR))
            var answer = [UInt8](repeating: 0, count: 100)
            #expect(recv(ends[0], &answer, 100, Int32(MSG_WAITALL)) == 5)
            #expect(answer.prefix(5) == Array("hello".utf8)[...])
            try #expect(program.waitForExit() == .status(0))
        }

        /// No message may reach the client, even if the connection is standard error.
        @Test func `a client that is too slow is disconnected without a message`() throws {
            try withServedClient(.ipv4, ["--idle-timeout", "0.1"], redirections: ">&0 2>&0") { client, program in
                try #expect(client.receiveToEnd().isEmpty)
                try #expect(program.waitForExit() == .status(0))
            }
        }

        // MARK: - Behind a proxy

        @Test(arguments: Kind.allCases, [ProxyHeader.Version.v1, .v2])
        func `a proxy's header comes first, and its client counts`(kind: Kind, version: ProxyHeader.Version) throws {
            let options = ["--proxy-protocol", "required", "--banner={proxied_peer} "]
            try withServedClient(kind, options) { client, program in
                let ends = ProxyHeader.Ends(
                    source: try #require(SocketAddress(ip: "192.0.2.1", port: 8)), destination: .loopback(port: 2))
                try client.sendAll(ProxyHeader(version, ends).bytes)
                try client.expect("192.0.2.1:8 \nHELLO", to: "hello")
                try client.shutdownSending()
                try #expect(client.receiveToEnd().isEmpty)
                try #expect(program.waitForExit() == .status(0))
                #expect(program.standardError.textToEnd().contains("192.0.2.1:8"))
            }
        }

        @Test(arguments: [
            (["--proxy-protocol", "required"], "hello"),
            (
                ["--proxy-protocol", "required", "--proxy-trusted", "192.0.2.0/24"],
                "PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\nhi"
            ),
            (
                ["--proxy-protocol", "optional", "--proxy-trusted", "192.0.2.0/24"],
                "PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\nhi"
            ),
        ])
        func `without a header that may be there, the connection is closed and the client is told nothing`(
            options: [String], text: String
        ) throws {
            try withServedClient(.ipv4, options, redirections: ">&0 2>&0") { client, program in
                try client.sendAll(text)
                // What was sent and not read makes a reset of the close.
                let answer = (try? client.receiveToEnd()) ?? []
                #expect(answer.isEmpty)
                try #expect(program.waitForExit() == .status(0))
            }
        }

        @Test func `an optional header may be missing`() throws {
            try withServedClient(.ipv4, ["--proxy-protocol", "optional"]) { client, program in
                try client.expect("HELLO", to: "hello")
                try client.shutdownSending()
                try #expect(program.waitForExit() == .status(0))
            }
        }

        @Test func `an invalid setting is not shown to the client`() throws {
            try withServedClient(.ipv4, ["--idle-timeout", "x"], redirections: ">&0 2>&0") { client, program in
                try #expect(client.receiveToEnd().isEmpty)
                try #expect(program.waitForExit() == .status(64))
            }
        }

        @Test(.enabled(if: Sanitizer.active == .none, "a sanitizer's calls come before the shim's"))
        func `without /dev/null, the log does not go to the client`() throws {
            let faults = try Faults()
            faults.failAll(.open, with: ENOENT)
            try withServedClient(
                .ipv4, ["--idle-timeout", "0.1"], redirections: ">&0 2>&0", adjust: { faults.preload(&$0) }
            ) { client, program in
                try client.expect("HELLO", to: "hello")
                try #expect(client.receiveToEnd().isEmpty)
                try #expect(program.waitForExit() == .status(0))
            }
            #expect(faults.made(.open) > 0)
        }

        @Test(.enabled(if: Sanitizer.active == .none, "a sanitizer's calls come before the shim's"))
        func `without /dev/null and a pipe, it ends with status 71 and tells the client nothing`() throws {
            let faults = try Faults()
            faults.failAll(.open, with: ENOENT)
            faults.failAll(.pipe, with: ENFILE)
            try withServedClient(redirections: ">&0 2>&0", adjust: { faults.preload(&$0) }) { client, program in
                try #expect(client.receiveToEnd().isEmpty)
                try #expect(program.waitForExit() == .status(71))
            }
            #expect(faults.made(.pipe) > 0)
        }

        /// The program that has accepted the connection may have made it non-blocking.
        @Test func `inetd mode serves a non-blocking connection`() throws {
            try withServedClient(blocks: false) { client, program in
                try client.expect("HELLO", to: "hello")
                let before = try program.status().processorTime
                try Greenlet.sleep(for: .milliseconds(300))
                try #expect(program.status().processorTime - before < .milliseconds(50))
                try client.exchange(1 << 20, of: .upper)
                try #expect(program.waitForExit() == .status(0))
            }
        }

        @Test func `a client that resets is no failure`() throws {
            let listener = try ListeningSocket(on: SocketAddress(ip: "127.0.0.1", port: 0)!, backlog: 1)
            defer { listener.close() }
            let client = try RawSocket(port: #require(listener.address.port))
            let accepted = Glibc.accept(listener.descriptor, nil, nil)
            var launch = try Program.built("echo-server", ["--inetd"])
            launch.input = accepted
            let program = try Program(launch)
            defer { program.end() }
            close(accepted)
            client.reset()
            try #expect(program.waitForExit() == .status(0))
            #expect(program.standardError.textToEnd() == "")
        }

        // MARK: Stopping

        @Test(arguments: [SIGTERM, SIGINT])
        func `after a signal the client may finish`(signal: Int32) throws {
            try withServedClient { client, program in
                try client.expect("BEFORE", to: "before")
                program.send(signal)
                for _ in 0..<20 { try client.expect("AFTER", to: "after") }
                client.close()
                try #expect(program.waitForExit() == .status(0))
            }
        }

        @Test(arguments: [0, 0.3])
        func `at the drain timeout inetd mode answers what came and exits`(drainTimeout: Double) throws {
            try withServedClient(.ipv4, ["--drain-timeout", "\(drainTimeout)"]) { client, program in
                try client.expect("BEFORE", to: "before")
                let start = Deadline.now
                program.send(SIGTERM)
                // A reset would throw.
                try #expect(client.receive() == nil)
                #expect(.now - start >= .seconds(drainTimeout))
                #expect(.now - start < .seconds(drainTimeout) + slack)
                try #expect(program.waitForExit() == .status(0))
            }
        }

        @Test func `a client that never reads delays the exit of inetd mode for a bounded time`() throws {
            try withServedClient(.ipv4, ["--drain-timeout", "0.1"]) { client, program in
                try client.expect("BEFORE", to: "before")
                _ = try client.sendUntilFull(of: .upper)
                program.send(SIGTERM)
                try #expect(program.waitForExit(within: .seconds(6)) == .status(0))
            }
        }

        @Test func `a second signal ends inetd mode at once`() throws {
            try withServedClient { client, program in
                try client.expect("BEFORE", to: "before")
                program.send(SIGTERM)
                // Two signals that arrive before the first is handled count as one.
                try client.expect("AFTER", to: "after")
                program.send(SIGTERM)
                try #expect(program.waitForExit(within: slack * 2) == .status(128 + SIGTERM))
            }
        }

        // MARK: What is refused

        @Test(arguments: [("</dev/null", "is not a socket"), ("<&-", "is not a socket")])
        func `inetd mode without a connection exits with status 78`(redirections: String, complaint: String) throws {
            var launch = try Program.built("echo-server", ["--inetd"])
            launch.redirections = redirections
            let (exit, output, error) = try Program.run(launch)
            #expect(exit == .status(78))
            #expect(output == "")
            #expect(error == "echo-server: --inetd: standard input \(complaint)\n")
        }

        @Test func `inetd mode refuses a listening socket`() throws {
            let listener = try ListeningSocket(on: SocketAddress(ip: "127.0.0.1", port: 0)!, backlog: 1)
            defer { listener.close() }
            var launch = try Program.built("echo-server", ["--inetd"])
            launch.input = listener.descriptor
            let (exit, _, error) = try Program.run(launch)
            #expect(exit == .status(78))
            #expect(error == "echo-server: --inetd: standard input is a listening socket, not a connected one\n")
        }
    }
}
