import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct SocketAddressTests {
    // MARK: Who can reach it

    @Test(arguments: ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"])
    func `the loopback is reached from this machine only`(text: String) throws {
        #expect(try #require(SocketAddress(ip: text, port: 1)).isLocal)
        #expect(SocketAddress.unix(path: "/run/echo.sock").isLocal)
    }

    @Test(arguments: [
        "0.0.0.0", "::", "10.0.0.127", "128.0.0.1", "126.255.255.255", "::2", "1::1", "::ffff:128.0.0.1", "fe80::1",
        "::7f00:1",
    ])
    func `any other address may be reached from other machines`(text: String) throws {
        #expect(try !#require(SocketAddress(ip: text, port: 1)).isLocal)
    }

    // MARK: Text

    @Test(arguments: ["127.0.0.1", "0.0.0.0", "255.255.255.255", "10.1.2.30"])
    func `an IPv4 address is printed as it was written`(text: String) throws {
        let address = try #require(SocketAddress(ip: text, port: 8080))
        #expect(address.description == "\(text):8080")
        #expect(address.port == 8080)
        #expect(address.family == AF_INET)
    }

    @Test(arguments: [
        ("::1", "::1"), ("::", "::"), ("0:0:0:0:0:0:0:1", "::1"),
        ("2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4"), ("fe80::1%1", "fe80::1%1"), ("ff02::1%4294967295", "ff02::1%4294967295"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ])
    func `an IPv6 address is printed in brackets and in its short form`(text: String, short: String) throws {
        let address = try #require(SocketAddress(ip: text, port: 65_535))
        #expect(address.description == "[\(short)]:65535")
        #expect(address.port == 65_535)
        #expect(address.family == AF_INET6)
    }

    @Test(.enabled(if: if_nametoindex("lo") != 0))
    func `the scope of an IPv6 address may be the name of an interface`() throws {
        let index = if_nametoindex("lo")
        #expect(SocketAddress(ip: "fe80::1%lo", port: 1) == SocketAddress(ip: "fe80::1%\(index)", port: 1))
        #expect(SocketAddress(ip: "fe80::1%lo", port: 1) != SocketAddress(ip: "fe80::1", port: 1))
    }

    @Test(arguments: [
        "", " ", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.-1", "01.2.3.4", "0x7f.0.0.1", "2130706433",
        " 127.0.0.1",
        "127.0.0.1 ", "127.0.0.1\n", "127.0.0.1:80", "127.0.0.1%1", "1.2.3.4/8", "\u{661}.0.0.1",
        "[::1]", ":", ":::", "1::2::3", "12345::", "g::1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "%1", "::1%",
        "::1%0", "::1%-1", "::1%+1", "::1%4294967296", "::1%no such interface", "::1%lo%lo", "::1 %1",
    ])
    func `nonsense is no address`(text: String) { #expect(SocketAddress(ip: text, port: 1) == nil) }

    /// The C library would take it for the end of the text.
    @Test func `an address with a zero byte in it is no address`() {
        for text in ["127.0.0.1\0", "127.0.0.1\0.example", "\0127.0.0.1", "::1\0", "\0::1", "::1%lo\0", "::1\0%1"] {
            #expect(SocketAddress(ip: text, port: 1) == nil)
        }
    }

    @Test func `a unix address is printed as its path`() {
        #expect(SocketAddress.unix(path: "/run/echo.sock").description == "/run/echo.sock")
        #expect(SocketAddress.unix(path: "@echo").description == "@echo")
        #expect(SocketAddress.unix(path: "").description == "unix client")
        #expect(SocketAddress.unix(path: "/run/echo.sock").port == nil)
    }

    @Test func `the loopback is this machine's alone, and any is the wildcard of IPv6`() {
        #expect("\(SocketAddress.loopback(port: 80))" == "127.0.0.1:80")
        #expect(SocketAddress.loopback(port: 80).isLocal)
        #expect("\(SocketAddress.any(port: 80))" == "[::]:80")
        #expect(!SocketAddress.any(port: 80).isLocal)
    }

    @Test func `only an address with a port takes another port`() {
        #expect(SocketAddress(ip: "127.0.0.1", port: 1)?.with(port: 2) == SocketAddress(ip: "127.0.0.1", port: 2))
        #expect(SocketAddress(ip: "fe80::1%3", port: 1)?.with(port: 2) == SocketAddress(ip: "fe80::1%3", port: 2))
        #expect(SocketAddress.unix(path: "/a").with(port: 2) == .unix(path: "/a"))
    }

    // MARK: As the kernel has it

    @Test(arguments: [
        SocketAddress(ip: "127.0.0.1", port: 8080)!, SocketAddress(ip: "1.2.3.4", port: 0)!,
        SocketAddress(ip: "::1", port: 443)!, SocketAddress(ip: "fe80::1:2:3%7", port: 65_535)!,
        .unix(path: "/tmp/a"), .unix(path: "relative"), .unix(path: "/tmp/\u{fc}"), .unix(path: "@abstract"),
        .unix(path: String(repeating: "p", count: 107)),
        .unix(path: "@" + String(repeating: "a", count: 106)),
    ])
    func `an address comes back from the kernel's form as it was`(address: SocketAddress) throws {
        #expect(SocketAddress(try #require(address.storage)) == address)
    }

    @Test func `the kernel's form of an IPv4 address is in the order of the network`() throws {
        let storage = try #require(SocketAddress(ip: "1.2.3.4", port: 0x1234)?.storage)
        #expect(storage.leading(8) == [UInt8(AF_INET), 0, 0x12, 0x34, 1, 2, 3, 4])
        #expect(storage.length == 16)
    }

    @Test func `the kernel's form of an IPv6 address is in the order of the network`() throws {
        let storage = try #require(SocketAddress(ip: "102:304:506:708:90a:b0c:d0e:f10%5", port: 0x1234)?.storage)
        let scope: [UInt8] = withUnsafeBytes(of: UInt32(5)) { Array($0) }
        #expect(storage.leading(28) == [UInt8(AF_INET6), 0, 0x12, 0x34, 0, 0, 0, 0] + (1...16) + scope)
        #expect(storage.length == 28)
    }

    @Test func `a path ends with a zero byte and an abstract name begins with one`() throws {
        let path = try #require(SocketAddress.unix(path: "/a").storage)
        #expect(path.leading(5) == [UInt8(AF_UNIX), 0] + "/a\0".utf8)
        #expect(path.length == 5)
        let abstract = try #require(SocketAddress.unix(path: "@a").storage)
        #expect(abstract.leading(4) == [UInt8(AF_UNIX), 0] + "\0a".utf8)
        #expect(abstract.length == 4)
    }

    @Test(arguments: [
        String(repeating: "p", count: 108), "@" + String(repeating: "a", count: 107),
        String(repeating: "\u{fc}", count: 54), "/a\0b", "@a\0b",
    ])
    func `a path that does not fit has no kernel form`(path: String) {
        #expect(SocketAddress.unix(path: path).storage == nil)
    }

    @Test func `a client without a name is a unix address without a path`() throws {
        var sockets: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &sockets) == 0)
        let peers = sockets.map { Peer($0) }
        #expect(peers.map(\.address) == [.unix(path: ""), .unix(path: "")])
    }
}

extension KernelAddress {
    fileprivate func leading(_ count: Int) -> [UInt8] { withUnsafeBytes(of: bytes) { Array($0.prefix(count)) } }
}
