import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// Bytes that a client sends with MSG_OOB: they are part of the stream, as RFC 6093 recommends.
    @Suite(.serialized) struct UrgentDataTests {
        @Test(arguments: ServerModel.all)
        func `a byte that was sent as urgent data comes back at its place`(model: ServerModel) throws {
            try withServer(model) { server in try expectUrgentByte(at: server.address) }
        }

        @Test(.enabled(if: unixSocketsHaveUrgentData, "unix sockets have no MSG_OOB here"), arguments: ServerModel.all)
        func `a byte that was sent as urgent data to a unix socket comes back at its place`(model: ServerModel) throws {
            try withTemporaryPath { path in
                try withServer(model, ["--unix-socket", path]) { server in try expectUrgentByte(at: server.address) }
            }
        }

        @Test(arguments: ServerModel.testable(.green, .thread, .process, .processPool))
        func `on a socket that was passed in, urgent data comes back at its place`(model: ServerModel) throws {
            try ManagedSockets.with { managed in
                // A service manager's sockets do not have the option.
                try setUrgentInline(managed.sockets[0].descriptor, 0)
                let server = try managed.start(model)
                try server.waitUntilReady()
                try expectUrgentByte(at: managed.sockets[0].address)
                try server.stop()
            }
        }

        @Test func `on a connection that was passed in as standard input, urgent data comes back at its place`() throws
        {
            let listener = try ListeningSocket(on: SocketAddress(ip: "127.0.0.1", port: 0)!, backlog: 1)
            defer { listener.close() }
            let client = try RawSocket(listener.address)
            let accepted = Glibc.accept(listener.descriptor, nil, nil)
            try setUrgentInline(accepted, 0)
            var launch = try Program.built("echo-server", ["--inetd"])
            launch.input = accepted
            let program = try Program(launch)
            defer { program.end() }
            close(accepted)
            #expect(client.answerWithUrgentByte() == "FIRST, URGENT! AND THE REST")
            try #expect(program.waitForExit() == .status(0))
        }

        /// Bytes that came before the drain timeout are answered, though the kernel ends a read at the urgent byte.
        @Test(arguments: ServerModel.testable(.green, .thread, .process))
        func `at the drain timeout, bytes behind urgent data are answered too`(model: ServerModel) throws {
            try withServer(model, ["--drain-timeout", "0.3"]) { server in
                let client = try RawSocket(server.address)
                client.send("hello, ")
                _ = try server.waitForCounts { $0["bytes_out"] == 7 }
                try server.whileStopped {
                    server.program.send(SIGTERM)
                    client.sendUrgent("first, urgent!")
                    client.send(" and the rest")
                    try Greenlet.sleep(for: .milliseconds(400))
                }
                #expect(client.receiveAll() == "HELLO, FIRST, URGENT! AND THE REST")
                try #expect(server.program.waitForExit() == .status(0))
            }
        }

        private func expectUrgentByte(at address: SocketAddress) throws {
            let client = try RawSocket(address)
            #expect(client.answerWithUrgentByte() == "FIRST, URGENT! AND THE REST")
        }

        private func setUrgentInline(_ descriptor: Int32, _ value: Int32) throws {
            var value = value
            try #require(setsockopt(descriptor, SOL_SOCKET, SO_OOBINLINE, &value, 4) == 0)
        }

        /// True since Linux 5.15, if the kernel was built with CONFIG_AF_UNIX_OOB.
        private static let unixSocketsHaveUrgentData: Bool = {
            var ends: [Int32] = [-1, -1]
            guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else { return false }
            defer { for end in ends { close(end) } }
            return send(ends[0], "!", 1, Int32(MSG_OOB)) == 1
        }()
    }
}

extension RawSocket {
    fileprivate func answerWithUrgentByte() -> String {
        send("first, ")
        sendUrgent("urgent!")
        send(" and the rest")
        endSending()
        return receiveAll()
    }
}
