import Testing

@testable import EchoServer

@Suite struct ProxySettingsTests {
    private func settings(_ arguments: [String] = [], environment: [String: String] = [:]) throws -> Settings {
        try Settings(parsing: arguments, environment: environment)
    }

    @Test func `no header is looked for unless the settings say so, and then proxies of this machine are believed`()
        throws
    {
        let settings = try settings()
        #expect(settings.proxy == ProxySettings() && settings.proxy.proxies == nil)
        #expect(settings.proxyTimeout == .seconds(3))
        #expect(settings.proxy.trusted.description == "127.0.0.0/8,::1,unix")
    }

    @Test func `options and variables set them`() throws {
        for given in [
            try settings(["--proxy-protocol", "optional", "--proxy-trusted", "10.0.0.0/8", "--proxy-timeout", "0.5"]),
            try settings(environment: [
                "ECHO_SERVER_PROXY_PROTOCOL": "optional", "ECHO_SERVER_PROXY_TRUSTED": "10.0.0.0/8",
                "ECHO_SERVER_PROXY_TIMEOUT": "0.5",
            ]),
        ] {
            #expect(given.proxy.mode == .optional)
            #expect(given.proxy.proxies == AddressRanges("10.0.0.0/8"))
            #expect(given.proxyTimeout == .milliseconds(500))
        }
    }

    @Test func `the time for a header has both ends of its range, and 0 for ever`() throws {
        #expect(try settings(["--proxy-timeout", "0"]).proxyTimeout == nil)
        #expect(try settings(["--proxy-timeout", "0.001"]).proxyTimeout == .milliseconds(1))
        #expect(try settings(["--proxy-timeout", "3153600000"]).proxyTimeout == .seconds(3_153_600_000))
        for bad in ["0.0009", "3153600001", "-1", "x", ""] {
            #expect(throws: StartFailure.self) { try settings(["--proxy-timeout", bad]) }
        }
    }
}
