import GreenNet
import Testing

@testable import EchoServer

struct PoolGrowthTests {
    private let start = Deadline.after(.seconds(100))

    /// Looks at each interval, from `start` on, until there is a change; returns the new number, and after how many looks.
    private func change(
        _ growth: inout PoolGrowth, running: Int, busy: Int, from first: Int = 0
    ) -> (size: Int, looks: Int)? {
        for look in first..<(first + 1000) {
            let size = growth.look(running: running, busy: busy, at: start + PoolGrowth.interval * look)
            if size != running { return (size, look - first) }
        }
        return nil
    }

    @Test func `while all are busy it grows by one, two, four and so on, up to the most`() {
        var growth = PoolGrowth(PoolSize(parsing: "4...64")!)
        var (sizes, look) = ([4], 0)
        while sizes.last! < 64 {
            sizes.append(growth.look(running: sizes.last!, busy: sizes.last!, at: start + PoolGrowth.interval * look))
            look += 1
        }
        #expect(sizes == [4, 5, 7, 11, 19, 35, 64])
        #expect(growth.look(running: 64, busy: 64, at: start + PoolGrowth.interval * look) == 64)
    }

    @Test func `a look at which one is idle makes the next step one again`() {
        var growth = PoolGrowth(PoolSize(parsing: "1...64")!)
        let looks = [(1, 1, 2), (2, 2, 4), (4, 3, 4), (4, 4, 5)]
        for (number, (running, busy, expected)) in looks.enumerated() {
            let size = growth.look(running: running, busy: busy, at: start + PoolGrowth.interval * number)
            #expect(size == expected)
        }
    }

    @Test func `between two looks nothing changes`() {
        var growth = PoolGrowth(PoolSize(parsing: "1...64")!)
        #expect(growth.look(running: 1, busy: 1, at: start) == 2)
        #expect(growth.look(running: 2, busy: 2, at: start + .milliseconds(99)) == 2)
    }

    @Test(arguments: [(0, 4), (3, 4), (4, 5), (10, 11), (62, 63)])
    func `what was idle for the idle time ends, but for one that is spare, and never below the least`(
        busy: Int, expected: Int
    ) throws {
        var growth = PoolGrowth(PoolSize(parsing: "4...64")!, idleTime: .seconds(1))
        // At the first look of the idle time all but one were needed: those that were not needed in the next one end.
        _ = growth.look(running: 64, busy: 63, at: start)
        let (size, looks) = try #require(change(&growth, running: 64, busy: busy, from: 1))
        #expect(size == expected && 19...20 ~= looks)
    }

    @Test func `a moment in which they were needed keeps them for another idle time`() throws {
        var growth = PoolGrowth(PoolSize(parsing: "1...64")!, idleTime: .seconds(1))
        _ = growth.look(running: 10, busy: 9, at: start)
        for look in 1...20 {
            // Once in each idle time.
            let size = growth.look(running: 10, busy: look % 7 == 0 ? 9 : 0, at: start + PoolGrowth.interval * look)
            #expect(size == 10)
        }
    }

    @Test func `a pool of one size stays as it is`() {
        var growth = PoolGrowth(PoolSize(4), idleTime: .zero)
        #expect(change(&growth, running: 4, busy: 4) == nil)
        #expect(change(&growth, running: 4, busy: 0, from: 2000) == nil)
    }
}
