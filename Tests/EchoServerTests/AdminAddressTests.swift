import Testing

@testable import EchoServer

@Suite struct AdminAddressTests {
    @Test(arguments: [
        ("127.0.0.1:9090", AdminAddress.tcp(host: "127.0.0.1", port: 9090)), ("[::1]:0", .tcp(host: "::1", port: 0)),
        ("localhost:80", .tcp(host: "localhost", port: 80)), ("/run/admin", .unix(path: "/run/admin")),
        ("@admin", .unix(path: "@admin")),
    ])
    func `an address has a host and a port, or a path`(text: String, address: AdminAddress) {
        #expect(AdminAddress(text) == address)
        #expect("\(address)" == text)
    }

    @Test(arguments: [
        "", "9090", ":9090", "localhost", "localhost:", "localhost:http", "localhost:65536", "::1:9090", "::1", "[]:",
        "[]:0", "[@]:9", "[localhost]:9",
        "/", "@", "/" + String(repeating: "x", count: 107),
    ])
    func `anything else is none`(text: String) { #expect(AdminAddress(text) == nil) }
}
