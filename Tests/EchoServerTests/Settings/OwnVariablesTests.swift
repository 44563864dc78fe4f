import Testing

@testable import EchoServer

@Suite struct OwnVariablesTests {
    @Test func `a variable with our prefix that means nothing is named, with the one that was meant`() {
        let environment = [
            "PATH", "ECHO_SERVER_PORT", "ECHO_SERVER_CONFIG", "ECHO_SERVER_PROT", "ECHO_SERVER_DRAIN_TIMOUT",
            "ECHO_SERVER_", "ECHO_SERVER_SERVICE_HOST", "NOTIFY_SOCKET",
        ]
        #expect(
            OwnVariables.unknown(in: environment).map { "\($0)" } == [
                "unknown variable ECHO_SERVER_",
                "unknown variable ECHO_SERVER_DRAIN_TIMOUT; did you mean ECHO_SERVER_DRAIN_TIMEOUT?",
                "unknown variable ECHO_SERVER_PROT; did you mean ECHO_SERVER_PORT?",
                "unknown variable ECHO_SERVER_SERVICE_HOST",
            ])
    }

    @Test(arguments: [
        ("prot", "port"), ("port", "port"), ("host", "host"), ("hosts", "host"), ("modell", "model"),
        ("maxconnections", "max-connections"), ("", nil), ("something-else", nil), ("größe", nil),
    ])
    func `the nearest name is the one that few changes make of it`(name: String, nearest: String?) {
        #expect(Spelling.nearest(to: name, among: Settings.names) == nearest)
    }
}
