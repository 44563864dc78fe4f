import ProgramKit
import Testing

@testable import EchoServer

@Suite struct SettingSourcesTests {
    private let environment = ["ECHO_SERVER_DRAIN_TIMEOUT": "7", "ECHO_SERVER_PORT": "70"]

    private func sources(_ options: [String: String] = [:], file: String = "") throws -> SettingSources {
        let file = try ConfigurationFile(path: "f", text: file)
        return SettingSources(options, environment: { environment[$0] }, file: file)
    }

    @Test func `the variable has the option's name in capitals, with underscores`() throws {
        #expect(try sources().pick("drain-timeout")?.text == "7")
    }

    @Test func `an option overrides the environment, and the environment the file`() throws {
        let sources = try sources(["port": "1"], file: "port = 3\ndrain-timeout = 3\nbacklog = 3")
        #expect(sources.pick("port")?.text == "1")
        #expect(sources.pick("drain-timeout")?.text == "7")
        #expect(sources.pick("backlog")?.text == "3")
    }

    @Test func `a setting that is given nowhere has no value`() throws { #expect(try sources().pick("model") == nil) }

    @Test func `an error names the origin of the value, and has the exit status for that`() throws {
        let sources = try sources(["host": "x"], file: "\nmodel = x\nECHO_SERVER_BACKLOG=x")
        let expected: [(String, ProgramKit.ExitStatus, String)] = [
            ("host", .usage, "--host: is bad"), ("port", .configuration, "ECHO_SERVER_PORT: is bad"),
            ("model", .configuration, "f:2: model: is bad"),
            ("backlog", .configuration, "f:3: ECHO_SERVER_BACKLOG: is bad"),
        ]
        for (name, status, message) in expected {
            let failure = try #require(sources.pick(name)).origin.failure("is bad")
            #expect(failure.status == status)
            #expect(failure.message == message)
        }
    }
}
