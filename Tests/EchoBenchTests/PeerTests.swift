import Testing

@testable import EchoBench

struct PeerTests {
    @Test(arguments: [("64", ["64", "1"]), ("1000x16", ["1000", "16"])])
    func `a load is a number of connections, and a depth`(name: String, numbers: [String]) throws {
        #expect(try #require(PeerLoad(name)).options == ["--connections", numbers[0], "--depth", numbers[1]])
    }

    @Test(arguments: ["", "x", "64x", "x16", "0", "64x0", "-1", "1x2x3", "bulky"])
    func `an invalid load is refused`(name: String) { #expect(PeerLoad(name) == nil) }

    @Test func `for bulk, servers whose user chooses get the larger buffer`() throws {
        let roster = PeerRoster(server: "echo-server", also: []) { _ in true }
        func words(_ name: String, _ load: PeerLoad) throws -> [String] {
            try #require(roster.peers.first { $0.name == name }).start(for: load).words
        }
        #expect(try words("C epoll", .bulk).suffix(2) == ["--buffer", "65536"])
        #expect(try words("C epoll", .churn).count == 1)
        #expect(try words(Peer.smallBuffer, .bulk).count == 1)
        #expect(try words("green", .bulk) == words("green", .churn))
    }

    @Test func `the user's own server is measured whatever the pattern, as the floor is`() throws {
        let mine = try #require(NamedCommand(argument: "mine=my-server --port {port}"))
        let roster = PeerRoster(server: "echo-server", also: [mine]) { $0 == "green" }
        #expect(roster.peers.map(\.name) == ["C epoll", "C epoll again", Peer.smallBuffer, "green", "mine"])
        #expect(roster.peers.last?.start(for: nil).words == ["my-server", "--port", "{port}"])
    }

    @Test func `system calls are counted for each message, and rare ones are not listed`() {
        let table = """
            % time     seconds  usecs/call     calls    errors syscall
            ------ ----------- ----------- --------- --------- ----------------
             60.00    0.600000           6      1000           sendto
             39.00    0.400000           4      1010        10 recvfrom
              1.00    0.010000          10         2           epoll_wait
            ------ ----------- ----------- --------- --------- ----------------
            100.00    1.010000                  2012        10 total
            """
        let count = SystemCallCount(parsing: table, messages: 1000)
        #expect(count.all == 2.012 && count.list == "sendto 1.00; recvfrom 1.01")
    }

    @Test func `instructions are read from perf's lines and from valgrind's`() throws {
        #expect(InstructionCount.counts(in: "# begun\n\n4200,,instructions:u,100,100.00,,\n", "instructions:u") == 4200)
        #expect(InstructionCount.counts(in: "<not supported>,,instructions:u,0,100.00,,\n", "instructions:u") == nil)
        let log = "==7== \n==7== I   refs:      1,234,567\n==7== D1  misses:     4,200  ( 4,000 rd   +    200 wr)\n"
        #expect(try Cachegrind.Counter.instructions.value(in: log) == 1_234_567)
        #expect(try Cachegrind.Counter.lines.value(in: log) == 4200)
        #expect(throws: BenchFailure.self) { try Cachegrind.Counter.lines.value(in: "==7== killed\n") }
    }
}
