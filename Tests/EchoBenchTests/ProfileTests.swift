import Testing

@testable import EchoBench

struct ProfileTests {
    @Test(arguments: [
        ("[kernel.kallsyms]", "tcp_sendmsg", ProfilePlace.kernel), ("libc.so.6", "recv", .libc), ("[vdso]", "x", .libc),
        ("libev.so.4.0.0", "ev_run", .libev), ("echo-server", "green_switch", .theSwitch),
        ("echo-server", "$s8GreenNet10ConnectionC7receive", .connection),
        ("echo-server", "$s8GreenNet14becameReadable33_FC91", .scheduler),
        ("echo-server", "$s10EchoServer0A7HandlerV", .handler), ("echo-server", "ascii_uppercase.avx2", .handler),
        ("echo-server", "swift_retain", .rest),
    ])
    func `time is counted where it is spent`(object: String, symbol: String, place: ProfilePlace) {
        #expect(ProfilePlace(object: object, symbol: symbol) == place)
    }

    @Test func `shares of one place add up`() throws {
        let report = """
            # Overhead  Shared Object      Symbol
                60.00%  [kernel.kallsyms]  [k] tcp_sendmsg
                15.50%  [kernel.kallsyms]  [k] tcp_recvmsg
                10.00%  libc.so.6          [.] recv
            """
        let shares = ProfilePlace.shares(in: report)
        #expect(abs(try #require(shares[.kernel]) - 0.755) < 1e-9 && shares[.libc] == 0.1 && shares.count == 2)
    }

    @Test func `what the floor does outside of libraries is its handler`() {
        let table = ProfileTable(64, floor: [.rest: 30, .handler: 12], green: [.rest: 5])
        #expect(table.text.contains("| the handler and upper case | 42 | 0 |"))
        #expect(table.text.contains("| the rest of the program | 0 | 5 |"))
    }
}
