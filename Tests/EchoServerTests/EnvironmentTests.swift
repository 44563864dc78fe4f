import Testing

@testable import EchoServer

@Suite struct EnvironmentTests {
    private let environment = Environment { ["ECHO_SERVER_DRAIN_TIMEOUT": "7"][$0] }

    @Test func `the variable has the option's name in capitals, with underscores`() throws {
        #expect(try #require(environment.pick(nil, "drain-timeout")).text == "7")
    }

    @Test func `an option that is given wins`() throws {
        #expect(try #require(environment.pick("3", "drain-timeout")).text == "3")
    }

    @Test func `where neither is given, there is nothing`() { #expect(environment.pick(nil, "port") == nil) }

    @Test func `a complaint names where the value came from, and has the exit status for that`() throws {
        let given = try #require(environment.pick("x", "drain-timeout")).origin.failure("is bad")
        #expect(given.status == .usage)
        #expect(given.message == "--drain-timeout: is bad")
        let found = try #require(environment.pick(nil, "drain-timeout")).origin.failure("is bad")
        #expect(found.status == .configuration)
        #expect(found.message == "ECHO_SERVER_DRAIN_TIMEOUT: is bad")
    }
}
