import Testing

@testable import EchoBench

struct MillionTests {
    @Test(arguments: [("6.12.9-amd64", false), ("6.13.0", true), ("6.18.44-x", true), ("7.0", true), ("5.15", false)])
    func `guards take no mapping since Linux 6.13`(release: String, have: Bool) {
        #expect(MillionLimits.hasGuardPages(release) == have)
    }

    @Test func `the limit of processes is the soft one`() {
        let limits = "Max open files            1024                 4096                 files\n"
        #expect(MillionLimits.processLimit(in: limits + "Max processes   500   900   processes\n") == 500)
        #expect(MillionLimits.processLimit(in: limits + "Max processes   unlimited   unlimited   processes\n") == nil)
    }

    @Test func `figures are found in JSON, also in an object`() throws {
        let json = #"{"messages": 12, "p50": 1, "latency_us": {"p50": 84.5, "p99": 120}}"#
        #expect(try number("messages", in: json) == 12)
        #expect(try number("p50", in: json, of: "latency_us") == 84.5)
        #expect(throws: BenchFailure.self) { try number("p90", in: json) }
    }

    @Test func `the kernel reports the sockets in use and their pages`() {
        let text = "sockets: used 9\nTCP: inuse 4 orphan 0 tw 0 alloc 7 mem 1\nUDP: inuse 2 mem 0\n"
        #expect(HeldState.socketText(text) == "4 in use, 1 pages of buffers")
    }
}
