import Glibc
import GreenNet
import Testing

@testable import EchoServer

@Suite struct BannerTests {
    private func line(_ template: String, behindProxy: Bool = false) throws -> String {
        let peer = SocketAddress.loopback(port: 7)
        let client = behindProxy ? try #require(SocketAddress(ip: "192.0.2.1", port: 8)) : peer
        return String(decoding: try #require(Banner(template)).bytes(for: peer, client, .green), as: UTF8.self)
    }

    @Test func `the places of a template are filled in`() throws {
        #expect(try line("hello") == "hello\n")
        #expect(try line("{peer}") == "127.0.0.1:7\n")
        #expect(try line("<{model}|{pid}|{peer}|{proxied_peer}>") == "<green|\(getpid())|127.0.0.1:7|->\n")
        #expect(try line("{proxied_peer}{proxied_peer}", behindProxy: true) == "192.0.2.1:8192.0.2.1:8\n")
        #expect(try line("{server}") == "echo-server/\(Version.number)\n")
        #expect(try line("{time}").wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\n/) != nil)
    }

    @Test func `the line without a template has all that there is`() throws {
        #expect(try line(Banner.standard).split(separator: " ").count == 6)
    }

    @Test(arguments: [
        "{peers}", "{", "{}", "x {peer", "{pid}{x}", "", "a\nb", "a\u{7f}", String(repeating: "x", count: 1025),
    ])
    func `what is no template is refused`(template: String) {
        #expect(Banner(template) == nil)
        #expect(Banner.complaint(about: template) != nil)
    }

    @Test func `a template has up to 1024 bytes, and a closing brace is a character`() throws {
        #expect(Banner(String(repeating: "x", count: 1024)) != nil)
        #expect(try line("}") == "}\n")
        #expect(Banner.complaint(about: "{pid} {x} y") == "'{x} y' begins with no known name")
    }
}
