import GreenNet
import Testing

@testable import EchoServer

@Suite struct AddressRangesTests {
    private func address(_ text: String) throws -> SocketAddress { try #require(SocketAddress(ip: text, port: 1)) }

    @Test(arguments: [
        ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"], ["9.255.255.255", "11.0.0.0", "::1"]),
        ("192.0.2.7", ["192.0.2.7"], ["192.0.2.6", "192.0.2.8"]),
        ("192.0.2.6/31", ["192.0.2.6", "192.0.2.7"], ["192.0.2.5", "192.0.2.8"]),
        ("0.0.0.0/0", ["255.255.255.255", "0.0.0.0"], ["::1", "2001:db8::1"]),
        ("::/0", ["::1", "ffff::"], ["1.2.3.4"]), ("2001:db8::/32", ["2001:db8:ffff::1"], ["2001:db9::"]),
        ("::1/128", ["::1"], ["::2"]), ("10.0.0.0/8,::1", ["10.1.1.1", "::1"], ["11.1.1.1"]),
        ("::ffff:10.0.0.0/104", ["10.1.1.1"], ["11.1.1.1"]),
    ])
    func `a range has the addresses of its prefix, and no other`(
        text: String, inside: [String], outside: [String]
    ) throws {
        let ranges = try #require(AddressRanges(text))
        for text in inside { #expect(ranges.contains(try address(text)), "\(text)") }
        for text in outside { #expect(!ranges.contains(try address(text)), "\(text)") }
        #expect(!ranges.contains(.unix(path: "/x")))
        #expect(ranges.description == text)
    }

    @Test func `clients of unix sockets are in a list that names them`() throws {
        #expect(AddressRanges("unix")?.contains(.unix(path: "")) == true)
        #expect(AddressRanges.local.contains(.unix(path: "")) && AddressRanges.local.contains(.loopback(port: 1)))
        #expect(try !AddressRanges.local.contains(address("192.0.2.1")))
    }

    @Test(arguments: [
        "", ",", "10.0.0.0/8,", "10.0.0.0/33", "10.0.0.0/-1", "::1/129", "10.0.0.0/", "10/8", "localhost",
        "fe80::1%1/64",
        "10.0.0.0/8/8", "10.0.0.0/x", "10.0.0.0 /8",
        "10.0.0.0/+8", "0.0.0.0/-0", "10.0.0.0/08",
    ])
    func `what is no range is refused`(text: String) { #expect(AddressRanges(text) == nil) }

    @Test func `bits behind the prefix are named`() {
        #expect(AddressRanges("::1,10.0.0.1/8") == nil)
        #expect(AddressRanges.complaint(about: "::1,10.0.0.1/8") == "'10.0.0.1/8' has bits behind its prefix")
    }

    @Test func `a list has 1024 ranges and no more`() {
        #expect(AddressRanges(Array(repeating: "::1", count: 1024).joined(separator: ",")) != nil)
        #expect(AddressRanges(Array(repeating: "::1", count: 1025).joined(separator: ",")) == nil)
    }
}
