import TestSupport
import Testing

@testable import GreenNet

struct LinkTests {
    @Test func `links begin in the order in which they were made, each once, and may wait`() throws {
        try onHub {
            var order: [Int] = []
            let target = spawn { 5 }
            for number in 0..<1000 {
                target.link { greenlet in
                    #expect(greenlet === target)
                    order.append(number)
                    try Greenlet.yield()
                }
            }
            #expect(order.isEmpty)
            try Hub.current.run()
            #expect(order == Array(0..<1000))
            target.link { _ in order.append(1000) }
            try Hub.current.run()
            #expect(order.last == 1000)
            #expect(target.observerCount == 0)
        }
    }

    @Test func `linkValue is called for a value, and linkError for an error`() throws {
        try onHub {
            var told: [String] = []
            func link(_ target: Greenlet<Int>) {
                target.linkValue { told.append("value \($0)") }
                target.linkError { told.append("error \($0)") }
            }
            let killed = spawn { () throws -> Int in
                try Greenlet.sleep(until: .never)
                return 0
            }
            link(spawn { 1 })
            link(spawn { throw Failure(2) })
            link(killed)
            try Greenlet.yield()
            killed.kill()
            try Hub.current.run()
            #expect(told == ["value 1", "error Failure(2)"])
        }
    }

    @Test(arguments: [true, false])
    func `a link is called once after a kill, also before the first run`(hasBegun: Bool) throws {
        try onHub {
            var told: [AnyGreenlet.State] = []
            let target = spawn { try Greenlet.sleep(until: .never) }
            target.link { told.append($0.state) }
            if hasBegun { try Greenlet.yield() }
            target.kill()
            target.kill()
            try Hub.current.run()
            #expect(told == [.killed])
        }
    }

    @Test func `three links that throw are each called, and reported`() throws {
        try onHub {
            var reports: [String] = []
            Hub.current.onUnobservedFailure = { reports.append("\($0.name): \($0.error)") }
            let target = spawn(name: "target") {}
            for number in 0..<3 { target.link { _ in throw Failure(number) } }
            try Hub.current.run()
            #expect(reports.count == 3)
            #expect(reports[0].hasSuffix("(link of green thread 2 (target)): Failure(0)"))
        }
    }

    @Test func `of two links that cut each other, one runs`() throws {
        try onHub {
            let target = spawn {}
            var links: [Link] = []
            var runs = 0
            for number in 0..<2 {
                links.append(
                    target.link { _ in
                        runs += 1
                        links[1 - number].cut()
                    })
            }
            try Hub.current.run()
            #expect(runs == 1)
            links[0].cut()
        }
    }

    @Test func `a link that was cut before the end leaves no observer`() throws {
        try onHub {
            let target = spawn {}
            target.link { _ in Issue.record("cut, and called") }.cut()
            #expect(target.observerCount == 0)
            try target.join()
        }
    }

    // MARK: Later

    @Test func `a green thread that is spawned to begin later begins then`() throws {
        try onHub {
            var order: [Int] = []
            spawn(after: .milliseconds(15)) { order.append(2) }
            spawn(after: .milliseconds(5)) { order.append(1) }
            spawn(after: .zero) { order.append(0) }
            try Hub.current.run()
            #expect(order == [0, 1, 2])
        }
    }

    @Test(arguments: [true, false])
    func `a green thread that is killed before it begins never begins, and its links are called`(isWaiting: Bool) throws
    {
        try onHub {
            var told = 0
            let greenlet = spawn(after: .seconds(60)) { Issue.record("it began") }
            greenlet.link { _ in told += 1 }
            if isWaiting { try Greenlet.yield() }
            greenlet.kill(throwing: Failure(1))
            #expect(throws: Failure(1)) { try greenlet.value() }
            try Hub.current.run()
            #expect(told == 1)
        }
    }

    // MARK: What is known of one

    @Test func `a green thread says where it was spawned, and by which green thread`() throws {
        try onHub {
            let line = UInt(#line) + 1
            let outer = spawn { spawn {} }
            #expect(outer.spawnSite?.description == "GreenNetTests/LinkTests.swift:\(line)")
            #expect(outer.spawner == Greenlet.current.id)
            try #expect(outer.value().spawner == outer.id)
            #expect(Greenlet.current.spawnSite == nil && Greenlet.current.spawner == nil)
        }
    }

    @Test func `onSpawn is called with each green thread, until it is set to nil`() throws {
        try onHub {
            var told: [String?] = []
            Hub.current.onSpawn = { greenlet in
                #expect(greenlet.state == .starting)
                told.append(greenlet.name)
            }
            spawn(name: "one") {}
            spawn(after: .zero, name: "two") {}
            Hub.current.onSpawn = nil
            spawn(name: "three") {}
            #expect(told == ["one", "two"])
        }
    }
}
