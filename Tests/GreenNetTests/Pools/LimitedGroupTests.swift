import TestSupport
import Testing

@testable import GreenNet

struct LimitedGroupTests {
    @Test(arguments: [1, 2, 7])
    func `no more members than the limit exist at a time, and they begin in their order`(limit: Int) throws {
        try onVirtualHub {
            var (begun, running, most) = ([Int](), 0, 0)
            try withGreenGroup(limit: limit) { group in
                for number in 0..<20 {
                    group.spawn {
                        begun.append(number)
                        running += 1
                        most = max(most, running)
                        defer { running -= 1 }
                        try Greenlet.sleep(for: .seconds(1))
                    }
                    #expect(group.count <= limit)
                }
            }
            #expect(begun == Array(0..<20))
            #expect(most == limit && running == 0)
        }
    }

    @Test func `what waits for a place of a group that ends meanwhile never begins, and is no member`() throws {
        try onVirtualHub {
            var outsider: Greenlet<Greenlet<Void>>?
            try withGreenGroup(limit: 1) { group in
                group.spawn { try Greenlet.sleep(for: .seconds(1)) }
                outsider = spawn { group.spawn { throw Failed() } }
            }
            let late = try #require(outsider).value()
            try late.join()
            #expect(late.state == .killed)
        }
    }

    @Test func `values come from a group with a limit as from any other`() throws {
        try onVirtualHub {
            let squares = try withGreenGroup(limit: 3) { group in
                try (0..<10).map { number in group.spawn { number * number } }.map { try $0.value() }
            }
            #expect(squares == (0..<10).map { $0 * $0 })
        }
    }

    @Test func `a member that fails ends the wait for a place, and what is spawned then never begins`() throws {
        try onVirtualHub {
            var begun: [Int] = []
            #expect(throws: Failed()) {
                try withGreenGroup(limit: 1) { group in
                    for number in 0..<3 {
                        group.spawn {
                            begun.append(number)
                            try Greenlet.sleep(for: .seconds(1))
                            throw Failed()
                        }
                    }
                }
            }
            #expect(begun == [0])
        }
    }

    @Test func `a kill and a limit of the caller end the wait for a place`() throws {
        try onVirtualHub {
            var begun = 0
            func fill() throws {
                try withGreenGroup(limit: 2) { group in
                    for _ in 0..<3 {
                        group.spawn {
                            begun += 1
                            try Greenlet.sleep(for: .seconds(100))
                        }
                    }
                }
            }
            let caller = spawn { try fill() }
            try Greenlet.sleep(for: .seconds(1))
            caller.kill()
            try caller.join()
            #expect(caller.state == .killed && begun == 2)
            #expect(throws: TimedOut.self) { try withTimeout(.seconds(1)) { try fill() } }
            #expect(begun == 4)
        }
    }

    @Test func `members may spawn into their own full group, and the limit holds`() throws {
        try onVirtualHub {
            var (running, most, ended) = (0, 0, 0)
            func work(_ depth: Int, in group: GreenGroup) throws {
                running += 1
                most = max(most, running)
                try Greenlet.sleep(for: .milliseconds(1))
                if depth > 0 { for _ in 0..<2 { group.spawn { try work(depth - 1, in: group) } } }
                running -= 1
                ended += 1
            }
            try withGreenGroup(limit: 2) { group in group.spawn { try work(4, in: group) } }
            #expect(ended == 31 && most == 2)
        }
    }

    @Test func `kills at random points lose no place`() throws {
        try onEverySeed(300) { seed in
            var random = SplitMix(seed: seed)
            let limit = Int.random(in: 1...3, using: &random)
            let kills = (0..<10).map { _ in Int.random(in: 0...8, using: &random) }
            var (running, most, begun) = (0, 0, 0)
            try withGreenGroup(limit: limit) { group in
                for kill in kills {
                    let member = group.spawn {
                        begun += 1
                        running += 1
                        most = max(most, running)
                        defer { running -= 1 }
                        try Greenlet.sleep(for: .milliseconds(4))
                    }
                    group.spawn {
                        try Greenlet.sleep(for: .milliseconds(kill))
                        member.kill()
                    }
                }
            }
            #expect(most <= limit && running == 0 && begun <= 10, "seed \(seed)")
        }
    }

    @Test func `a limit below 1 stops the program`() async {
        await #expect(processExitsWith: .failure) { try onHub { try withGreenGroup(limit: 0) { _ in } } }
        await #expect(processExitsWith: .failure) { try onHub { try withGreenGroup(limit: -1) { _ in } } }
    }

    @Test func `the greatest limit is no limit`() throws {
        try onVirtualHub {
            try withGreenGroup(limit: .max) { group in
                for _ in 0..<100 { group.spawn { try Greenlet.sleep(for: .seconds(1)) } }
                #expect(group.count == 100)
            }
        }
    }
}

private struct Failed: Error, Equatable {}
