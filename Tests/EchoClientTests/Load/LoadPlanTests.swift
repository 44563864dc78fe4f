import GreenNet
import Testing

@testable import EchoClient

struct LoadPlanTests {
    private func plan(_ arguments: String..., target: SocketAddress = .unix(path: "/run/echo")) throws -> LoadPlan {
        try LoadOptions.parse(arguments).plan(for: target)
    }

    @Test func `a process of a load gets everything that the options set`() throws {
        let options = [
            ["--duration", "2.5", "--size", "7", "--depth", "3", "--ramp", "0.5", "--transform", "echo"],
            ["--messages", "10", "--mode", "bulk", "--threads", "2", "--source", "127.0.0.2,::1", "--timeout", "9"],
            ["--rate", "12.5", "--connections", "3"],
        ]
        let targets = [
            SocketAddress.unix(path: "@name=1"), .init(ip: "::1", port: 1)!, .init(ip: "1.2.3.4", port: 65_535)!,
        ]
        for (options, target) in zip(options, targets) {
            let plan = try LoadOptions.parse(options).plan(for: target)
            #expect(LoadPlan(words: plan.words) == plan)
            #expect(LoadPlan(words: plan.share(1, of: 2).words) == plan.share(1, of: 2))
        }
    }

    @Test func `an incomplete or unknown plan is refused`() throws {
        let words = try plan().words
        #expect(LoadPlan(words: []) == nil)
        #expect(LoadPlan(words: words + ["size=many"]) == nil)
        #expect(LoadPlan(words: words + ["colour=red"]) == nil)
        #expect(LoadPlan(words: words.filter { !$0.hasPrefix("target=") }) == nil)
    }

    @Test(arguments: [1, 2, 3, 7, 10, 11])
    func `shares have all connections, each once`(count: Int) throws {
        let whole = try plan("--connections", "10")
        let shares = (0..<count).map { whole.share($0, of: count) }
        #expect(shares.flatMap { Array($0.own) } == Array(0..<10))
        let second = shares.flatMap { share in (0..<2).flatMap { Array(share.share($0, of: 2).own) } }
        #expect(second == Array(0..<10))
    }

    @Test func `messages are divided among the connections`() throws {
        let whole = try plan("--connections", "7", "--messages", "100")
        #expect((0..<7).map { whole.quota(of: $0) }.reduce(0, +) == 100)
        #expect((0..<7).allSatisfy { (14...15).contains(whole.quota(of: $0)) })
        #expect(try plan().quota(of: 3) == .max)
    }

    @Test func `connections to this machine come from as many of its addresses as it takes`() throws {
        let local = SocketAddress(ip: "127.0.0.1", port: 80)!
        let steady = try plan("--connections", "100000", target: local)
        #expect(steady.source(0) == nil)
        #expect(steady.source(99_999) == SocketAddress(ip: "127.0.0.5", port: 0))
        let perAddress = Dictionary(grouping: 0..<100_000) { steady.source($0) }
        #expect(perAddress.values.allSatisfy { $0.count <= 20_000 })
        #expect(try plan(target: .init(ip: "10.0.0.1", port: 80)!).source(99_999) == nil)
        #expect(try plan("--source", "127.0.0.9", target: local).source(3) == SocketAddress(ip: "127.0.0.9", port: 0))
    }

    @Test(arguments: [
        ["--rate", "0"], ["--rate", "10", "--depth", "2"], ["--rate", "10", "--mode", "churn"], ["--depth", "0"],
        ["--connections", "0"], ["--size", "0"], ["--source", "localhost"], ["--mode", "hold", "--messages", "1"],
        ["--mode", "bulk", "--depth", "2"], ["--duration", "0"],
    ])
    func `options that make no sense are refused`(options: [String]) {
        #expect(throws: (any Error).self) { try LoadOptions.parse(options) }
    }

    @Test func `without an end it takes ten seconds, with a number of messages as long as they take`() throws {
        #expect(try plan().duration == .seconds(10))
        #expect(try plan("--messages", "5").duration == nil)
        #expect(try plan("--messages", "5", "--duration", "2").duration == .seconds(2))
    }
}
