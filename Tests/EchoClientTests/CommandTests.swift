import Testing

@testable import EchoClient

struct CommandTests {
    @Test func `without a subcommand it talks`() throws {
        let talk = try #require(EchoClient.parseAsRoot(["--timeout", "0.5", "::1", "7"]) as? Talk)
        #expect(talk.target.place == .host("::1", port: 7))
        #expect(try talk.limit == .milliseconds(500))
    }

    @Test func `ping takes the same target`() throws {
        let ping = try #require(EchoClient.parseAsRoot(["ping", "::1", "7", "--transform", "upper"]) as? Ping)
        #expect(ping.target.place == .host("::1", port: 7))
        #expect(ping.transform == .upper)
    }
}
