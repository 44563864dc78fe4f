import Glibc
import Testing

@testable import GreenNet

/// Addresses as people write them.
struct EndpointTests {
    // MARK: With a port

    @Test(arguments: [
        ("127.0.0.1:9090", Endpoint.host("127.0.0.1", port: 9090)), ("[::1]:0", .host("::1", port: 0)),
        ("[fe80::1%no-such0]:80", .host("fe80::1%no-such0", port: 80)),
        ("localhost:65535", .host("localhost", port: 65_535)),
        ("under_score.example.:7", .host("under_score.example.", port: 7)), ("/run/admin", .unix(path: "/run/admin")),
        ("@admin", .unix(path: "@admin")), ("unix:relative", .unix(path: "relative")),
        ("unix:unix:x", .unix(path: "unix:x")),
    ])
    func `an endpoint has a host and a port, or a path, and is printed as it was written`(
        text: String, endpoint: Endpoint
    ) throws {
        #expect(try Endpoint(parsing: text) == endpoint)
        #expect("\(endpoint)" == text)
    }

    @Test func `the prefix of a path that begins with a slash or an @ may be left out`() throws {
        #expect(try Endpoint(parsing: "unix:/run/x") == .unix(path: "/run/x"))
        #expect(try Endpoint(parsing: "unix:@x") == .unix(path: "@x"))
    }

    @Test(arguments: [
        ("", AddressError.Reason.missingHost), (":9090", .missingHost), ("[]:9", .missingHost), ("9090", .badIPv4),
        ("localhost", .missingPort), ("[::1]", .missingPort), ("127.0.0.1", .missingPort),
        ("localhost:", .badPort), ("localhost:http", .badPort), ("localhost:65536", .badPort),
        ("localhost:+8", .badPort),
        ("localhost:-1", .badPort), ("localhost: 80", .badPort), ("[::1]:", .badPort), ("[::1]:65536", .badPort),
        ("::1:9090", .badBrackets), ("::1", .badBrackets), ("[::1", .badBrackets), ("[::1]9090", .badBrackets),
        ("[@]:9", .badBrackets), ("[localhost]:9", .badBrackets), ("[127.0.0.1]:9", .badBrackets),
        ("999.1.1.1:80", .badIPv4), ("[1::2::3]:80", .badIPv6), ("[fe80::1]:80", .missingInterface),
        ("[FEBF::1]:80", .missingInterface), ("[fe80::1%]:80", .badInterface), ("[fe80::1%0]:80", .badInterface),
        ("[fe80::1%4294967296]:80", .badInterface), ("[fe80::1%sixteen-letters-]:80", .badInterface),
        ("[fe80::1%a b]:80", .badInterface), ("a b:80", .badName), ("user@host:80", .badName), ("host/:80", .badName),
        ("a\0b:80", .badName), ("127.0.0.1%lo:80", .badName), ("/", .badPath), ("@", .badPath), ("unix:", .badPath),
        ("/a\0b", .badPath), ("/" + String(repeating: "x", count: 107), .badPath),
    ])
    func `anything else is refused with the reason`(text: String, reason: AddressError.Reason) {
        #expect(throws: AddressError(text, reason)) { try Endpoint(parsing: text) }
    }

    @Test func `with a default port, the port may be left out`() throws {
        #expect(try Endpoint(parsing: "::1", defaultPort: 7) == .host("::1", port: 7))
        #expect(try Endpoint(parsing: "[::1]", defaultPort: 7) == .host("::1", port: 7))
        #expect(try Endpoint(parsing: "[::1]:8", defaultPort: 7) == .host("::1", port: 8))
        #expect(try Endpoint(parsing: "localhost", defaultPort: 7) == .host("localhost", port: 7))
        #expect(try Endpoint(parsing: "localhost:8", defaultPort: 7) == .host("localhost", port: 8))
    }

    @Test(arguments: [1, 107])
    func `a path has from 1 to 107 bytes`(count: Int) throws {
        let path = String(repeating: "p", count: count)
        #expect(try Endpoint.unixPath(parsing: path) == path)
        #expect(try Endpoint.unixPath(parsing: "unix:\(path)") == path)
    }

    // MARK: A host alone

    @Test(arguments: [
        ("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("[::1]", "::1"), ("::", "::"), ("fe80::1%eth0", "fe80::1%eth0"),
        ("[fe80::1%eth0]", "fe80::1%eth0"), ("FE80::1%4294967295", "FE80::1%4294967295"), ("fec0::1", "fec0::1"),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4"), ("localhost", "localhost"), ("3com.example", "3com.example"),
        ("1.2.3.4.example", "1.2.3.4.example"), ("0xcafe.b", "0xcafe.b"),
        ("b\u{fc}cher.example", "b\u{fc}cher.example"),
    ])
    func `a host alone is an address, in brackets or not, or a name`(text: String, host: String) throws {
        #expect(try Endpoint.host(parsing: text) == host)
    }

    @Test(arguments: [
        ("127.0.0.1:80", AddressError.Reason.unexpectedPort), ("localhost:80", .unexpectedPort),
        ("[::1]:80", .unexpectedPort), ("fe80::1", .missingInterface), ("[fe80::1]", .missingInterface),
        ("", .missingHost), ("[]", .missingHost), ("/run/x", .path), ("unix:x", .path), ("@x", .path),
    ])
    func `a host alone has no port and is no path`(text: String, reason: AddressError.Reason) {
        #expect(throws: AddressError(text, reason)) { try Endpoint.host(parsing: text) }
    }

    /// The C library takes most of these for an address.
    @Test(arguments: [
        "999.1.1.1", "0177.0.0.1", "1.2.3", "0x7f.1", "127.1", "1", "0x7f", "2130706433", "1.2.3.4.5", "1.2.3.4.",
        "a.0x1",
        "foo.999", "0x", "256.1.1.1", "01.2.3.4", "1.2.3.0X1",
    ])
    func `what ends in a number is four decimal numbers or no host`(text: String) {
        #expect(throws: AddressError(text, .badIPv4)) { try Endpoint.host(parsing: text) }
        #expect(throws: ResolveError(host: text, code: EAI_NONAME)) { try Resolver.resolveHere(text, port: 1) }
    }

    @Test func `a missing interface is named, since it may come`() {
        #expect(Endpoint.missingInterface(in: "fe80::1%no-such0") == "no-such0")
        #expect(Endpoint.missingInterface(in: "fe80::1%1") == nil)
        #expect(Endpoint.missingInterface(in: "::1") == nil)
        #expect(Endpoint.missingInterface(in: "no%such") == nil)
    }

    // MARK: Addresses only

    @Test(arguments: [
        ("1.2.3.4:80", SocketAddress(ip: "1.2.3.4", port: 80)!),
        ("[::1]:65535", SocketAddress(ip: "::1", port: 65_535)!),
        ("[fe80::1%3]:0", SocketAddress(ip: "fe80::1%3", port: 0)!), ("/run/x", .unix(path: "/run/x")),
        ("unix:/run/x", .unix(path: "/run/x")), ("unix:x", .unix(path: "x")), ("@abstract", .unix(path: "@abstract")),
    ])
    func `a socket's address can be written as text`(text: String, address: SocketAddress) throws {
        #expect(try SocketAddress(parsing: text) == address)
    }

    @Test(.enabled(if: if_nametoindex("lo") != 0))
    func `the interface of an address may be a name`() throws {
        let index = if_nametoindex("lo")
        #expect(try SocketAddress(parsing: "[fe80::1%lo]:80") == SocketAddress(ip: "fe80::1%\(index)", port: 80))
    }

    @Test(arguments: [
        ("localhost:80", AddressError.Reason.name), ("[fe80::1%no-such0]:80", .noInterface("no-such0")),
        ("[fe80::1]:80", .missingInterface), ("1.2.3.4", .missingPort), ("::1:80", .badBrackets),
        ("1.2.3:80", .badIPv4),
        ("relative", .missingPort),
    ])
    func `a name and what has no address are refused with the reason`(text: String, reason: AddressError.Reason) {
        #expect(throws: AddressError(text, reason)) { try SocketAddress(parsing: text) }
    }

    @Test func `the error names the text and the reason`() {
        #expect(
            "\(AddressError("::1:80", .badBrackets))"
                == "'::1:80' is not an address: an IPv6 address with a port is written in brackets, as in [::1]:80")
    }
}
