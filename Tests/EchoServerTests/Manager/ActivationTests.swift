import Glibc
import GreenNet
import TestSupport
import Testing

@testable import EchoServer

@Suite struct ActivationTests {
    // MARK: Variables

    private func passed(_ variables: [String: String]) throws -> [Activation.Passed] {
        try Activation.passed(ManagerVariables(variables), to: 4711)
    }

    private func complaint(about variables: [String: String]) throws -> String? {
        let failure = #expect(throws: StartFailure.self) { try passed(variables) }
        #expect(failure?.status == .configuration)
        return failure?.message
    }

    @Test func `descriptors count from 3, each with its name`() throws {
        let variables = ["LISTEN_PID": "4711", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "echo:admin:echo"]
        let expected: [Activation.Passed] = [
            .init(descriptor: 3, name: "echo"), .init(descriptor: 4, name: "admin"), .init(descriptor: 5, name: "echo"),
        ]
        #expect(try passed(variables) == expected)
    }

    @Test func `without names, they are unknown`() throws {
        let all = try passed(["LISTEN_PID": "4711", "LISTEN_FDS": "2"])
        #expect(all.map(\.name) == ["unknown", "unknown"])
    }

    @Test func `a name may be empty`() throws {
        let all = try passed(["LISTEN_PID": "4711", "LISTEN_FDS": "2", "LISTEN_FDNAMES": ":"])
        #expect(all.map(\.name) == ["", ""])
    }

    @Test(
        arguments: [
            [:], ["LISTEN_FDS": "2"], ["LISTEN_PID": "4711"], ["LISTEN_PID": "4711", "LISTEN_FDS": "0"],
            ["LISTEN_PID": "4711", "LISTEN_FDS": "0", "LISTEN_FDNAMES": ""],
            ["LISTEN_PID": "4712", "LISTEN_FDS": "2"],
            // Invalid values that are meant for another process.
            ["LISTEN_PID": "4712", "LISTEN_FDS": "x", "LISTEN_FDNAMES": "a"],
        ])
    func `without variables, or with those of another process, no socket is passed`(variables: [String: String]) throws
    {
        #expect(try passed(variables).isEmpty)
    }

    @Test(arguments: ["", "x", "1.5", "-1", "0", "4711 ", "99999999999999999999"])
    func `an invalid process id is refused`(text: String) throws {
        let message = try complaint(about: ["LISTEN_PID": text, "LISTEN_FDS": "1"])
        #expect(message == "LISTEN_PID: '\(text)' is not a process id")
    }

    @Test(arguments: ["", "x", "-1", "1e3", "1048577", "2147483644", "99999999999999999999"])
    func `an invalid number of descriptors is refused`(text: String) throws {
        let message = try complaint(about: ["LISTEN_PID": "4711", "LISTEN_FDS": text])
        #expect(message == "LISTEN_FDS: '\(text)' is not a number of descriptors")
    }

    @Test(arguments: ["", "a", "a:b:c"])
    func `another number of names is refused`(names: String) throws {
        let variables = ["LISTEN_PID": "4711", "LISTEN_FDS": "2", "LISTEN_FDNAMES": names]
        #expect(try complaint(about: variables) == "LISTEN_FDNAMES: '\(names)' does not name 2 descriptors")
    }

    // MARK: Sockets

    @Test func `listening sockets become listeners, in their order`() throws {
        let address = try #require(SocketAddress(ip: "127.0.0.1", port: 0))
        let sockets = try (0..<3).map { _ in try ListeningSocket(on: address, backlog: 1) }
        defer { for socket in sockets { socket.close() } }
        let passed = sockets.map { Activation.Passed(descriptor: $0.descriptor, name: "echo") }
        let listeners = try Activation.listen(on: passed)
        #expect(listeners.map(\.address) == sockets.map(\.address))
        #expect(listeners.map(\.isInherited) == [true, true, true])
    }

    @Test
    func `a socket named admin is the admin interface's, all others are served, and an unusual name is logged`()
        throws
    {
        let address = try #require(SocketAddress(ip: "127.0.0.1", port: 0))
        let names = ["echo", "admin", "", "unknown", "my.socket", "metrics", "Admin", "admin"]
        let sockets = try names.map { _ in try ListeningSocket(on: address, backlog: 1) }
        defer { for socket in sockets { socket.close() } }
        let sorted = try Activation.sort(
            zip(sockets, names).map { Activation.Passed(descriptor: $0.descriptor, name: $1) })
        #expect(sorted.admin.map(\.address) == [1, 7].map { sockets[$0].address })
        #expect(sorted.service.map(\.address) == [0, 2, 3, 4, 5, 6].map { sockets[$0].address })
        #expect(sorted.unusual.map(\.name) == ["metrics", "Admin"])
        #expect(sorted.unusual.map(\.address) == [5, 6].map { sockets[$0].address })
    }

    @Test func `what an earlier start has had kept is neither passed in nor unusual`() throws {
        let address = SocketAddress.loopback(port: 0)
        let sockets = try (0..<3).map { _ in try ListeningSocket(on: address, backlog: 1) }
        defer { for socket in sockets { socket.close() } }
        let names = ["echo", try #require(KeptListener.name(of: sockets[1].address)), "kept-anything"]
        let sorted = try Activation.sort(
            zip(sockets, names).map { Activation.Passed(descriptor: $0.descriptor, name: $1) })
        #expect(sorted.service.map(\.address) == [sockets[0].address] && sorted.unusual.isEmpty)
        #expect(sorted.kept.map(\.name) == Array(names[1...]))
        #expect(sorted.kept.map(\.socket?.address) == [sockets[1].address, sockets[2].address])
        #expect(sorted.kept.allSatisfy { $0.socket?.isInherited == false })
    }

    @Test func `what was kept and is no listener is closed, and its name is known`() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        let sorted = try Activation.sort([Activation.Passed(descriptor: descriptor, name: "kept-datagrams")])
        #expect(sorted.kept.map(\.name) == ["kept-datagrams"] && sorted.kept[0].socket == nil)
        #expect(fcntl(descriptor, F_GETFD) < 0)
    }

    @Test(arguments: [
        ("127.0.0.1:8080", "kept-127.0.0.1/8080"), ("[::1]:1", "kept-[//1]/1"), ("/run/echo", nil), ("@echo", nil),
    ])
    func `a kept listener has a name without a colon, and a unix socket none`(address: String, name: String?) throws {
        #expect(KeptListener.name(of: try SocketAddress(parsing: address)) == name)
    }

    @Test func `the error about another descriptor has its number, its name and the reason`() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(descriptor) }
        let failure = #expect(throws: StartFailure.self) {
            try Activation.listen(on: [.init(descriptor: descriptor, name: "echo")])
        }
        #expect(failure?.status == .configuration)
        #expect(failure?.message == "descriptor \(descriptor), passed in as 'echo', is not a stream socket")
    }
}
