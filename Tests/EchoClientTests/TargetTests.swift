import ArgumentParser
import GreenNet
import Testing

@testable import EchoClient

struct TargetTests {
    private func place(_ arguments: String...) throws -> Endpoint { try Target.parse(arguments).place }

    @Test func `without arguments, it is port 8080 of this machine`() throws {
        #expect(try place() == .host("127.0.0.1", port: 8080))
    }

    @Test func `host and port come in this order, and the port may be left out`() throws {
        #expect(try place("echo.example", "7") == .host("echo.example", port: 7))
        #expect(try place("echo.example") == .host("echo.example", port: 8080))
    }

    @Test func `an IPv6 address may stand in brackets`() throws {
        #expect(try place("::1") == .host("::1", port: 8080))
        #expect(try place("[::1]", "7") == .host("::1", port: 7))
    }

    @Test func `host and port may stand in one argument, and so may a unix socket`() throws {
        #expect(try place("127.0.0.1:7") == .host("127.0.0.1", port: 7))
        #expect(try place("[::1]:7") == .host("::1", port: 7))
        #expect(try place("echo.example:7") == .host("echo.example", port: 7))
        #expect(try place("/run/echo.sock") == .unix(path: "/run/echo.sock"))
        #expect(try place("unix:echo.sock") == .unix(path: "echo.sock"))
        #expect(try place("@echo") == .unix(path: "@echo"))
    }

    @Test func `a unix socket takes the place of host and port`() throws {
        #expect(try place("--unix-socket", "/run/echo.sock") == .unix(path: "/run/echo.sock"))
    }

    @Test(arguments: [
        ["host", "65536"], ["host", "-1"], ["host", "http"], ["host", "7", "more"], [""], ["[]"],
        ["127.0.0.1:7", "8"], ["host:0"], ["[::1]:0"], ["/run/echo.sock", "8"], ["host:http"], ["999.1.1.1"], ["1.2.3"],
        ["fe80::1"], ["::1]"],
        ["--unix-socket", ""], ["host", "--unix-socket", "path"],
        ["--unix-socket", String(repeating: "x", count: SocketAddress.longestUnixPath + 1)],
    ])
    func `an invalid target is refused with status 64`(arguments: [String]) {
        #expect(exitCode { _ = try Target.parse(arguments) } == .validationFailure)
    }

    @Test func `endpoints are printed as addresses are`() {
        #expect("\(Endpoint.host("::1", port: 7))" == "[::1]:7")
        #expect("\(Endpoint.host("echo.example", port: 7))" == "echo.example:7")
        #expect("\(Endpoint.unix(path: "/run/echo.sock"))" == "/run/echo.sock")
    }

    private func exitCode(_ body: () throws -> Void) -> ExitCode {
        do { try body() } catch { return Target.exitCode(for: error) }
        return .success
    }
}
