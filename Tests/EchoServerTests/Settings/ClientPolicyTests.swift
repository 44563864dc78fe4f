import GreenNet
import Testing

@testable import EchoServer

@Suite struct ClientPolicyTests {
    private func settings(_ arguments: [String] = [], environment: [String: String] = [:]) throws -> Settings {
        try Settings(parsing: arguments, environment: environment)
    }

    private func address(_ text: String) throws -> SocketAddress { try #require(SocketAddress(ip: text, port: 1)) }

    @Test func `all addresses are served unless the settings say otherwise`() throws {
        let policy = try settings().clients
        #expect(policy == ClientPolicy() && policy.ipv6Prefix == 64 && policy.rate == nil)
        #expect(try !policy.denies(address("192.0.2.1")) && !policy.denies(.unix(path: "")))
    }

    @Test func `what is denied is denied, and with anything allowed the rest is`() throws {
        let policy = try settings(["--allow", "10.0.0.0/8,unix", "--deny", "10.1.0.0/16"]).clients
        #expect(try !policy.denies(address("10.2.0.1")) && !policy.denies(.unix(path: "")))
        #expect(try policy.denies(address("10.1.0.1")) && policy.denies(address("192.0.2.1")))
        #expect(try policy.denies(address("::1")) && policy.denies(address("::ffff:10.1.0.1")))
        let denyOnly = try settings(environment: ["ECHO_SERVER_DENY": "unix"]).clients
        #expect(try denyOnly.denies(.unix(path: "@x")) && !denyOnly.denies(address("::1")))
    }

    @Test(arguments: [
        ("1", 1, Duration.seconds(1)), ("1000000/86400", 1_000_000, .seconds(86_400)),
        ("20/0.001", 20, .milliseconds(1)),
        ("100/60", 100, .seconds(60)),
    ])
    func `a rate is a number in a second or in another time`(text: String, count: Int, time: Duration) throws {
        let rate = try #require(try settings(["--new-per-address", text]).clients.rate)
        #expect(rate.count == count && rate.time == time)
        #expect(rate.description == text)
    }

    @Test(arguments: ["0", "1000001", "", "1/", "/1", "1/0", "1/0.0009", "1/86401", "1/1/1", "-1", "1.5", "x"])
    func `what is no rate is refused in words`(text: String) {
        let failure = #expect(throws: StartFailure.self) { try settings(["--new-per-address", text]) }
        #expect(
            failure?.message
                == "--new-per-address: '\(text)' is not a number of connections, or that and a time, such as 20 or 100/60: 1 to 1000000 connections in 0.001 to 86400 seconds"
        )
    }

    @Test func `a prefix has 1 to 128 bits`() throws {
        #expect(try settings(["--ipv6-prefix", "1"]).clients.ipv6Prefix == 1)
        #expect(try settings(["--ipv6-prefix", "128"]).clients.ipv6Prefix == 128)
        for bad in ["0", "129", "x", "-1"] {
            #expect(throws: StartFailure.self) { try settings(["--ipv6-prefix", bad]) }
        }
    }

    @Test func `IPv6 addresses of one prefix count as one, and IPv4 addresses each`() throws {
        func counted(_ prefix: Int, _ addresses: String...) throws -> [Bool] {
            let shared = try SharedAdmission(
                places: 10, most: 10, perPeer: 1, policy: ClientPolicy(ipv6Prefix: prefix), rows: 1)
            return try addresses.map { try shared.admitClient(address($0), row: 0) == nil }
        }
        #expect(try counted(64, "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1") == [true, false, true])
        #expect(try counted(128, "2001:db8::1", "2001:db8::2", "2001:db8::1") == [true, true, false])
        #expect(try counted(48, "2001:db8::1", "2001:db8:0:1::1", "2001:db8:1::1") == [true, false, true])
        #expect(try counted(1, "10.0.0.1", "10.0.0.2", "::ffff:10.0.0.1") == [true, true, false])
    }

    @Test func `each refusal has its reason, and one that is refused is not counted`() throws {
        let policy = ClientPolicy(denied: AddressRanges("10.0.0.0/8"), rate: ConnectionRate("2/86400"))
        let shared = try SharedAdmission(places: 10, most: 10, perPeer: 1, policy: policy, rows: 1)
        let client = try address("192.0.2.1")
        #expect(try shared.admitClient(address("10.0.0.1"), row: 0) == .denied)
        #expect(shared.admitClient(client, row: 0) == nil)
        #expect(shared.admitClient(client, row: 0) == .peerFull)
        shared.leaveClient(client, row: 0)
        #expect(shared.admitClient(client, row: 0) == nil)
        shared.leaveClient(client, row: 0)
        #expect(shared.admitClient(client, row: 0) == .tooFast)
    }
}
