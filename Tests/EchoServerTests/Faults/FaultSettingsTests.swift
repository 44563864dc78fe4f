import GreenNet
import Testing

@testable import EchoServer

@Suite struct FaultSettingsTests {
    private func settings(_ arguments: [String]) throws -> Settings {
        try Settings(parsing: arguments)
    }

    @Test(arguments: [
        ("0", 0), ("1000", 1000), ("1K", 1000), ("2M", 2_000_000), ("3G", 3_000_000_000), ("1Ki", 1024),
        ("1Mi", 1 << 20), ("1Gi", 1 << 30), ("1000000000000", 1_000_000_000_000), ("1000G", 1_000_000_000_000),
    ])
    func `an amount of bytes has units of thousands, and of 1,024`(text: String, bytes: Int) {
        #expect(ByteAmount.value(of: text) == bytes)
    }

    @Test(arguments: ["", "K", "-1", "1.5K", "1k", "1KB", " 1", "1000000000001", "1001G", "99999999999999999999", "+1"])
    func `anything else is no amount of bytes`(text: String) { #expect(ByteAmount.value(of: text) == nil) }

    @Test func `each fault has an option`() throws {
        let given = [
            "delay": "0.1", "jitter": "0.05", "bandwidth": "1000", "reset-after": "1000", "close-after": "0.3s",
            "truncate": "7", "corrupt": "0.5", "refuse": "1", "fault-seed": "9",
            "fault": "10.0.0.0/8=delay:0.1,reset-after:1K;10%=stall",
        ]
        let settings = try settings(given.map { "--\($0)=\($1)" } + ["--stall"])
        let plan = settings.faults.plan
        #expect(plan.delay == .milliseconds(100))
        #expect(plan.jitter == .milliseconds(50))
        #expect(plan.bandwidth == 1000)
        #expect(plan.resetAfter == .bytes(1000))
        #expect(plan.closeAfter == .time(.milliseconds(300)))
        #expect(plan.truncate == 7)
        #expect(plan.corrupt == 0.5)
        #expect(plan.refuse == 1)
        #expect(plan.stalls)
        #expect(settings.faults.seed == 9)
        for setting in FaultSettings.all where setting.name != "stall" {
            #expect(setting.show(settings) == given[setting.name])
        }
    }

    @Test func `without options there are no faults`() throws {
        #expect(try settings([]).faults.areNone)
        #expect(try settings(["--no-stall"]).faults.areNone)
        #expect(try !settings(["--delay=0"]).faults.areNone)
    }

    @Test func `rules are in the order in which they were given`() throws {
        let rules = try settings(["--fault", "10%=stall", "--fault", "::1=delay:2,corrupt:0.5"]).faults.rules
        #expect(rules.map(\.scope) == [.share(0.1), .network(AddressRanges("::1")!)])
        #expect(rules[0].plan.stalls)
        #expect(rules[1].plan.delay == .seconds(2))
        #expect(rules[1].plan.corrupt == 0.5)
    }

    static let limit = FaultPlan.Limit.rule

    @Test(arguments: [
        ("delay", "-1", "a number from 0.001 to 86400 seconds, or 0"),
        ("delay", "86400.001", "a number from 0.001 to 86400 seconds, or 0"),
        ("jitter", "0.0009", "a number from 0.001 to 86400 seconds, or 0"),
        ("bandwidth", "0", "a rate of 1 to 1000000000000 bytes a second, K to Gi allowed"),
        ("bandwidth", "1001G", "a rate of 1 to 1000000000000 bytes a second, K to Gi allowed"),
        ("reset-after", "0s", limit), ("reset-after", "1h", limit), ("close-after", "1001G", limit),
        ("close-after", "86401s", limit), ("truncate", "1s", ByteAmount.rule), ("truncate", "", ByteAmount.rule),
        ("corrupt", "-0.1", "a number from 0 to 1"), ("corrupt", "1.01", "a number from 0 to 1"),
        ("refuse", "10%", "a number from 0 to 1"), ("fault-seed", "-1", "a whole number from 0 to 9223372036854775807"),
        ("fault", "stall", FaultRule.rule),
        ("fault", "10.0.0.1/8=stall", "\(FaultRule.rule): '10.0.0.1/8' is no network and no share"),
        ("fault", "101%=stall", "\(FaultRule.rule): '101%' is no network and no share"),
        ("fault", "10%=stal", "\(FaultRule.rule): there is no fault 'stal'"),
        ("fault", "10%=delay:0.1,corrupt:2", "\(FaultRule.rule): 'corrupt:2': corrupt takes a number from 0 to 1"),
        ("fault", "10%=delay", "\(FaultRule.rule): 'delay': delay takes a number from 0.001 to 86400 seconds, or 0"),
    ])
    func `a fault that makes no sense is refused, with option, value and what was expected`(
        name: String, value: String, rule: String
    ) {
        let failure = #expect(throws: StartFailure.self) {
            try settings(value.isEmpty ? ["--\(name)", ""] : ["--\(name)=\(value)"])
        }
        #expect(failure?.status == .usage)
        #expect(failure?.message == "--\(name): '\(value)' is not \(rule)")
    }

    @Test(arguments: [
        ("delay", "0.001"), ("delay", "86400"), ("bandwidth", "1"), ("bandwidth", "1000G"), ("truncate", "0"),
        ("truncate", "1000000000000"), ("reset-after", "0"), ("reset-after", "0.001s"), ("close-after", "86400s"),
        ("corrupt", "0"), ("corrupt", "1"), ("fault", "0%=stall"), ("fault", "100%=stall"),
        ("fault-seed", "9223372036854775807"), ("fault-seed", "0"),
    ])
    func `the ends of each range are allowed`(name: String, value: String) {
        #expect(throws: Never.self) { try settings(["--\(name)=\(value)"]) }
    }

    // MARK: Choices

    private func plans(_ arguments: [String], _ peers: [SocketAddress]) throws -> [FaultPlan?] {
        let injector = try FaultInjector(settings(arguments).faults)
        return peers.map { injector.next(for: $0)?.plan }
    }

    @Test func `the first rule that fits counts, and the options where none does`() throws {
        let peers = ["10.1.2.3", "::ffff:10.9.9.9", "192.0.2.1", "2001:db8::1"].map { SocketAddress(ip: $0, port: 9)! }
        let plans = try plans(
            [
                "--fault=10.1.0.0/16=delay:1", "--fault=10.0.0.0/8=delay:2", "--fault=2001:db8::/32=corrupt:0",
                "--delay=3",
            ], peers)
        #expect(plans.map { $0?.delay } == [.seconds(1), .seconds(2), .seconds(3), nil])
    }

    @Test func `a share of the connections gets the fault, the same ones with the same seed`() throws {
        let peers = [SocketAddress](repeating: .loopback(port: 1), count: 2000)
        let first = try plans(["--fault=25%=stall", "--fault-seed=1"], peers).map { $0?.stalls ?? false }
        let second = try plans(["--fault=25%=stall", "--fault-seed=1"], peers).map { $0?.stalls ?? false }
        let other = try plans(["--fault=25%=stall", "--fault-seed=2"], peers).map { $0?.stalls ?? false }
        #expect(first == second)
        #expect(first != other)
        // 500 are expected, with a standard deviation of 19.
        #expect((400...600).contains(first.count { $0 }))
    }

    @Test func `whether a connection is refused says nothing of what else is done to it`() throws {
        let injector = try FaultInjector(settings(["--refuse=0.5", "--jitter=1", "--fault-seed=3"]).faults)
        var lowest: [Bool] = []
        for _ in 0..<2000 {
            let fault = try #require(injector.next(for: .loopback(port: 1)))
            var (refusals, random) = (fault.refusals, fault.random)
            // Those that are served: with one number for both, all of them would have more than half of the jitter.
            if !refusals.happens(0.5) { lowest.append(random.happens(0.5)) }
        }
        // Of 1000, 500 are expected, with a standard deviation of 16.
        #expect((850...1150).contains(lowest.count))
        #expect((lowest.count * 2 / 5...lowest.count * 3 / 5).contains(lowest.count { $0 }))
    }
}
