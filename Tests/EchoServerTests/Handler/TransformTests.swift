import Testing

@testable import EchoServer

@Suite struct TransformTests {
    private func apply(_ transform: Transform, _ text: String) -> String {
        var bytes = Array(text.utf8)
        bytes.withUnsafeMutableBytes { transform.apply(to: $0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func `upper changes the ASCII letters and leaves the rest`() {
        #expect(apply(.upper, "hello, wörld: straße 123\n") == "HELLO, WöRLD: STRAßE 123\n")
    }

    @Test func `echo changes nothing`() { #expect(apply(.echo, "hello, wörld\n") == "hello, wörld\n") }

    @Test func `the names are those of the option`() {
        #expect(Transform(rawValue: "upper") == .upper)
        #expect(Transform(rawValue: "echo") == .echo)
        #expect(Transform(rawValue: "Upper") == nil)
    }
}
