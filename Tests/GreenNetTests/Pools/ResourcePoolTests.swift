import TestSupport
import Testing

@testable import GreenNet

struct ResourcePoolTests {
    // MARK: Lending

    @Test func `a resource is made at its first use, and used again after that, the one used last first`() throws {
        try onVirtualHub {
            let maker = Maker()
            let pool = maker.pool(limit: 3)
            #expect(pool.count == 0)
            try pool.withResource { first in
                #expect(first.number == 1)
                try pool.withResource { #expect($0.number == 2) }
                #expect(pool.count == 2 && pool.idleCount == 1)
            }
            for _ in 0..<3 { try pool.withResource { #expect($0.number == 1) } }
            #expect(maker.made == 2 && pool.idleCount == 2)
            pool.close()
        }
    }

    @Test(arguments: [1, 2, 5])
    func `never more resources exist than the limit, and green threads have them in the order in which they came`(
        limit: Int
    ) throws {
        try onVirtualHub {
            let maker = Maker()
            let pool = maker.pool(limit: limit)
            var order: [Int] = []
            let users = (0..<20).map { number in
                spawn {
                    try pool.withResource { _ in
                        order.append(number)
                        try Greenlet.sleep(for: .seconds(1))
                    }
                }
            }
            try joinAll(users)
            #expect(order == Array(0..<20))
            #expect(maker.most == limit && maker.made == limit)
            pool.close()
            #expect(maker.living == 0)
        }
    }

    @Test func `values and errors of the body come out as they are`() throws {
        try onVirtualHub {
            let pool = Maker().pool(limit: 1)
            try #expect(pool.withResource { $0.number + 41 } == 42)
            #expect(throws: Broken(number: 7)) { try pool.withResource { _ in throw Broken(number: 7) } }
            pool.close()
        }
    }

    @Test func `a limit below 1 and a negative idle time stop the program`() async {
        await #expect(processExitsWith: .failure) { _ = ResourcePool(limit: 0) { 1 } }
        await #expect(processExitsWith: .failure) { _ = ResourcePool(limit: -1) { 1 } }
        await #expect(processExitsWith: .failure) {
            _ = ResourcePool(limit: 1, make: { 1 }, idle: .nanoseconds(-1))
        }
        #expect(ResourcePool(limit: .max, make: { 1 }, idle: .seconds(Int64.max)).limit == .max)
    }

    // MARK: Deadlines and kills

    @Test func `a deadline ends the wait for a turn, and a limit and a kill do`() throws {
        try onVirtualHub {
            let maker = Maker()
            let pool = maker.pool(limit: 1)
            let holder = spawn { try pool.withResource { _ in try Greenlet.sleep(for: .seconds(100)) } }
            try Greenlet.yield()
            #expect(throws: WaitError.deadlinePassed) { try pool.withResource(until: .now) { _ in } }
            #expect(throws: WaitError.deadlinePassed) { try pool.withResource(until: .after(.seconds(1))) { _ in } }
            #expect(throws: TimedOut.self) { try withTimeout(.seconds(1)) { try pool.withResource { _ in } } }
            let killed = spawn { try pool.withResource { _ in } }
            try Greenlet.yield()
            killed.kill()
            #expect(throws: GreenletExit()) { try killed.value() }
            try holder.join()
            try pool.withResource(until: .now) { #expect($0.number == 1) }
            pool.close()
        }
    }

    @Test func `a deadline ends the making of a resource, and its place is free then`() throws {
        try onVirtualHub {
            let maker = Maker()
            maker.makingTakes = .seconds(10)
            let pool = maker.pool(limit: 1)
            let start = Deadline.now
            #expect(throws: WaitError.deadlinePassed) { try pool.withResource(until: .after(.seconds(1))) { _ in } }
            #expect(.now - start == .seconds(1))
            #expect(pool.count == 0)
            try pool.withResource(until: .after(.seconds(11))) { _ in }
            pool.close()
        }
    }

    @Test func `a limit of the maker's own that is as long as the deadline is not taken for it`() throws {
        try onVirtualHub {
            let old = #expect(throws: TimedOut.self) {
                try withTimeout(.seconds(1)) { try Greenlet.sleep(for: .seconds(2)) }
            }
            let pool = ResourcePool<Int>(limit: 1) { throw old! }
            #expect(throws: old!) { try pool.withResource(until: .after(.seconds(1))) { _ in } }
        }
    }

    @Test func `a green thread that is killed in the body drops its resource, also where the body returns`() throws {
        try onVirtualHub {
            let maker = Maker()
            let pool = maker.pool(limit: 1)
            for catches in [false, true] {
                let user = spawn {
                    try pool.withResource { _ in
                        if catches {
                            try? Greenlet.sleep(for: .seconds(9))
                        } else {
                            try Greenlet.sleep(for: .seconds(9))
                        }
                    }
                }
                try Greenlet.yield()
                user.kill()
                try user.join()
            }
            #expect(maker.dropped == [1, 2] && pool.count == 0)
            try pool.withResource(until: .now) { #expect($0.number == 3) }
            pool.close()
        }
    }

    // MARK: Errors, dead resources

    @Test func `a body that throws drops its resource, and the next one is made`() throws {
        try onVirtualHub {
            let maker = Maker()
            let pool = maker.pool(limit: 1)
            #expect(throws: Broken.self) { try pool.withResource { _ in throw Broken(number: 0) } }
            #expect(maker.dropped == [1])
            try pool.withResource { #expect($0.number == 2) }
            pool.close()
        }
    }

    @Test func `an error of make goes to the caller whose turn it is, and the pool stays as large`() throws {
        try onVirtualHub {
            let maker = Maker()
            maker.fails = [1, 3]
            let pool = maker.pool(limit: 2)
            let users = (0..<4).map { _ in
                spawn {
                    try pool.withResource { resource in
                        try Greenlet.sleep(for: .seconds(1))
                        return resource.number
                    }
                }
            }
            try joinAll(users)
            let results = users.map { try? $0.result!.get() }
            #expect(results == [nil, 2, nil, 4])
            // Both places are there.
            try pool.withResource(until: .now) { _ in try pool.withResource(until: .now) { _ in } }
            pool.close()
        }
    }

    @Test func `a resource that is not alive, or whose check throws, is dropped before its use`() throws {
        try onVirtualHub {
            let maker = Maker()
            let pool = maker.pool(limit: 3)
            try pool.withResource { one in
                try pool.withResource { two in
                    one.isAlive = .success(false)
                    two.isAlive = .failure(Broken(number: 2))
                }
            }
            try pool.withResource { #expect($0.number == 3) }
            #expect(maker.dropped.sorted() == [1, 2] && pool.count == 1)
            pool.close()
        }
    }

    @Test func `a kill during the check of a resource is no dead resource`() throws {
        try onVirtualHub {
            let maker = Maker()
            let pool = maker.pool(limit: 1)
            maker.checkingTakes = .seconds(5)
            try pool.withResource { _ in }
            let user = spawn { try pool.withResource { _ in Issue.record("the body of a killed green thread ran") } }
            try Greenlet.sleep(for: .seconds(1))
            user.kill()
            try user.join()
            #expect(user.state == .killed && maker.made == 1)
            // It may have been in the middle of its check.
            #expect(maker.dropped == [1])
            pool.close()
        }
    }

    // MARK: Idle time

    @Test func `a resource that idles for longer is dropped, also while nothing happens`() throws {
        try onVirtualHub {
            let maker = Maker()
            let pool = maker.pool(limit: 2, idle: .seconds(60))
            try pool.withResource { _ in try pool.withResource { _ in } }
            try Greenlet.sleep(for: .seconds(40))
            // Takes the one that was given back last, and leaves the other one to idle.
            try pool.withResource { #expect($0.number == 1) }
            try Greenlet.sleep(for: .seconds(19))
            #expect(pool.count == 2)
            try Greenlet.sleep(for: .seconds(2))
            #expect(maker.dropped == [2] && pool.count == 1)
            try Greenlet.sleep(for: .seconds(40))
            #expect(maker.dropped == [2, 1] && pool.count == 0 && pool.idleCount == 0)
            try pool.withResource { #expect($0.number == 3) }
            pool.close()
        }
    }

    @Test func `with an idle time of 0 none is kept`() throws {
        try onVirtualHub {
            let maker = Maker()
            let pool = maker.pool(limit: 2, idle: .zero)
            for _ in 0..<3 { try pool.withResource { _ in } }
            #expect(maker.dropped == [1, 2, 3])
        }
    }

    @Test func `idle resources keep no hub running`() throws {
        try onVirtualHub {
            let pool = Maker().pool(limit: 2, idle: .seconds(1_000_000_000_000))
            try pool.withResource { _ in }
            let start = Deadline.now
            try Hub.current.run()
            #expect(.now - start < .seconds(1) && pool.idleCount == 1)
            pool.close()
        }
    }

    @Test func `a hub that closes drops the idle resources`() throws {
        try onOSThread {
            Hub.startVirtual()
            let maker = Maker()
            let pool = maker.pool(limit: 2)
            try pool.withResource { _ in try pool.withResource { _ in } }
            Hub.current.close()
            #expect(maker.dropped.sorted() == [1, 2] && pool.count == 0)
        }
    }

    @Test func `the idle resources of a pool that is released are dropped`() throws {
        try onVirtualHub {
            let maker = Maker()
            do {
                let pool = maker.pool(limit: 2, idle: .seconds(1000))
                try pool.withResource { _ in }
            }
            let start = Deadline.now
            while maker.living > 0 { try Greenlet.yield() }
            #expect(.now - start < .seconds(1))
        }
    }

    @Test func `a pool that was released and has dropped its resources leaves no object behind`() throws {
        try onVirtualHub {
            weak var maker: Maker?
            do {
                let made = Maker()
                let pool = made.pool(limit: 2, idle: .seconds(10))
                try pool.withResource { _ in }
                try Greenlet.sleep(for: .seconds(20))
                try pool.withResource { _ in }
                #expect(made.made == 2)
                maker = made
            }
            for _ in 0..<5 { try Greenlet.yield() }
            #expect(maker == nil)
        }
    }

    // MARK: close

    @Test func `close refuses those that wait and those that come, and drops what is idle and what is given back`()
        throws
    {
        try onVirtualHub {
            let maker = Maker()
            let pool = maker.pool(limit: 2)
            try pool.withResource { _ in try pool.withResource { _ in } }
            let user = spawn { try pool.withResource { _ in try Greenlet.sleep(for: .seconds(1)) } }
            let other = spawn { try pool.withResource { _ in try Greenlet.sleep(for: .seconds(2)) } }
            try Greenlet.yield()
            let waiting = spawn { try pool.withResource { _ in } }
            try Greenlet.yield()
            pool.close()
            #expect(pool.isClosed)
            #expect(throws: WaitError.closed) { try waiting.value() }
            #expect(throws: WaitError.closed) { try pool.withResource { _ in } }
            try user.value()
            try other.value()
            #expect(maker.living == 0 && maker.dropped.count == 2)
        }
    }

    @Test func `a resource that is made while the pool closes is dropped, and its caller refused`() throws {
        try onVirtualHub {
            let maker = Maker()
            maker.makingTakes = .seconds(5)
            let pool = maker.pool(limit: 1)
            let user = spawn { try pool.withResource { _ in Issue.record("a closed pool lends a resource") } }
            try Greenlet.sleep(for: .seconds(1))
            pool.close()
            #expect(throws: WaitError.closed) { try user.value() }
            #expect(maker.dropped == [1])
        }
    }

    // MARK: All at random

    @Test func `kills, deadlines, errors and dead resources at random points lose no place and no resource`() throws {
        try onEverySeed { seed in
            var random = SplitMix(seed: seed)
            let maker = Maker()
            let limit = Int.random(in: 1...4, using: &random)
            let pool = maker.pool(limit: limit, idle: .milliseconds(Int.random(in: 1...50, using: &random)))
            maker.fails = Set((0..<10).map { _ in Int.random(in: 1...40, using: &random) })
            maker.makingTakes = .milliseconds(Int.random(in: 0...3, using: &random))
            maker.checkingTakes = .milliseconds(Int.random(in: 0...2, using: &random))
            maker.droppingTakes = .milliseconds(Int.random(in: 0...2, using: &random))
            let users = (0..<20).map { _ in
                let (work, wait) = (Int.random(in: 0...10, using: &random), Int.random(in: 0...40, using: &random))
                let (fails, breaks) = (Bool.random(using: &random), Int.random(in: 0...3, using: &random) == 0)
                let start = Int.random(in: 0...30, using: &random)
                return spawn {
                    try Greenlet.sleep(for: .milliseconds(start))
                    try pool.withResource(until: .after(.milliseconds(wait))) { resource in
                        #expect(!resource.isInUse && !resource.isDropped)
                        resource.isInUse = true
                        defer { resource.isInUse = false }
                        try Greenlet.sleep(for: .milliseconds(work))
                        if breaks { resource.isAlive = .success(false) }
                        if fails { throw Broken(number: resource.number) }
                    }
                }
            }
            for user in users where Bool.random(using: &random) {
                try Greenlet.sleep(for: .milliseconds(Int.random(in: 0...5, using: &random)))
                user.kill()
            }
            try joinAll(users)
            for user in users { _ = user.result }
            #expect(maker.most <= limit, "seed \(seed)")
            maker.fails = []
            // Every place is there: as many users as the limit have a resource at once.
            var inside = 0
            let last = (0..<limit).map { _ in
                spawn {
                    try pool.withResource { _ in
                        inside += 1
                        try Greenlet.sleep(for: .seconds(1))
                    }
                }
            }
            try Greenlet.sleep(for: .milliseconds(500))
            #expect(inside == limit, "seed \(seed)")
            try joinAll(last)
            try Greenlet.sleep(for: .seconds(1))
            #expect(pool.count == 0 && maker.living == 0, "seed \(seed)")
            #expect(maker.dropped.count == Set(maker.dropped).count, "seed \(seed)")
        }
    }
}

private struct Broken: Error, Equatable {
    let number: Int
}

private final class Thing {
    let number: Int
    var isAlive: Result<Bool, any Error> = .success(true)
    var (isInUse, isDropped) = (false, false)

    init(_ number: Int) { self.number = number }
}

/// Makes things, counts them, and drops each once.
private final class Maker {
    private(set) var (attempts, made, living, most) = (0, 0, 0, 0)
    private(set) var dropped: [Int] = []
    /// Attempts that fail, counted from 1.
    var fails: Set<Int> = []
    var (makingTakes, checkingTakes, droppingTakes) = (Duration.zero, Duration.zero, Duration.zero)

    func pool(limit: Int, idle: Duration = .seconds(60)) -> ResourcePool<Thing> {
        ResourcePool(
            limit: limit, make: { try self.make() }, isAlive: { try self.check($0) }, idle: idle,
            drop: { self.drop($0) })
    }

    private func make() throws -> Thing {
        attempts += 1
        let attempt = attempts
        if makingTakes > .zero { try Greenlet.sleep(for: makingTakes) }
        if fails.contains(attempt) { throw Broken(number: attempt) }
        made += 1
        living += 1
        most = max(most, living)
        return Thing(attempt)
    }

    private func check(_ thing: Thing) throws -> Bool {
        if checkingTakes > .zero { try Greenlet.sleep(for: checkingTakes) }
        return try thing.isAlive.get()
    }

    private func drop(_ thing: Thing) {
        #expect(!thing.isDropped)
        thing.isDropped = true
        if droppingTakes > .zero { try? Greenlet.sleep(for: droppingTakes) }
        living -= 1
        dropped.append(thing.number)
    }
}
