import TestSupport
import Testing

@testable import GreenNet

struct VirtualClockTests {
    @Test func `sleeps of hours take no time, and come in the right order`() throws {
        let real = Deadline.now
        try onVirtualHub {
            var trace: [String] = []
            for hours in [5, 1, 3, 24 * 365] {
                spawn {
                    let length = try elapsed { try Greenlet.sleep(for: .seconds(3600 * hours)) }
                    #expect(length == .seconds(3600 * hours))
                    trace.append("\(hours)")
                }
            }
            try Hub.current.run()
            #expect(trace == ["1", "3", "5", "8760"])
        }
        #expect(.now - real < .seconds(20))
    }

    @Test func `time does not pass while a green thread runs`() throws {
        try onVirtualHub {
            let start = Deadline.now
            for _ in 0..<1000 { #expect(Deadline.now == start) }
        }
    }

    @Test func `after the hub, time is real again`() throws {
        try onOSThread {
            let before = Deadline.now
            Hub.startVirtual()
            #expect(Deadline.now < before)
            Hub.current.close()
            #expect(Deadline.now >= before)
            // A hub made now has the real clock.
            let length = try elapsed { try Greenlet.sleep(for: .milliseconds(2)) }
            #expect(length >= .milliseconds(2) && length < slack)
            Hub.current.close()
        }
    }

    @Test func `a limit breaks an endless loop that gives way`() throws {
        try onVirtualHub {
            #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(10)) { while true { try Greenlet.yield() } }
            }
        }
    }

    @Test func `limits nest, and each error names its own limit`() throws {
        try onVirtualHub {
            let outer = #expect(throws: TimedOut.self) {
                try withTimeout(.seconds(60)) {
                    try withTimeout(.seconds(3600)) { try Greenlet.sleep(for: .seconds(7200)) }
                }
            }
            #expect(outer?.limit.duration == .seconds(60))
            let inner = try withTimeout(.seconds(3600)) {
                do { try withTimeout(.seconds(60)) { try Greenlet.sleep(for: .seconds(7200)) } } catch let error
                    as TimedOut
                {
                    return error.limit.duration
                }
                return .zero
            }
            #expect(inner == .seconds(60))
        }
    }

    @Test func `deadlines of all kinds pass when nothing else is left`() throws {
        try onVirtualHub {
            let day = Duration.seconds(86400)
            try #expect(!GreenEvent().wait(until: .after(day)))
            try #expect(!GreenSemaphore(0).acquire(until: .after(day)))
            #expect(throws: WaitError.deadlinePassed) { try GreenQueue<Int>().take(until: .after(day)) }
            let sleeper = spawn(after: day * 30) { 7 }
            try #expect(!sleeper.join(until: .after(day)))
            try #expect(sleeper.value() == 7)
        }
    }

    @Test func `a wait that nothing can end is reported as on any hub`() throws {
        try onVirtualHub {
            let error = #expect(throws: WaitError.self) { try GreenEvent().wait() }
            guard case .blockedForever = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }

    @Test func `descriptors are as real as ever`() throws {
        try onVirtualHub {
            let (left, right) = try connectedConnections()
            defer {
                left.close()
                right.close()
            }
            spawn {
                try Greenlet.sleep(for: .seconds(3600))
                try left.sendAll(Array("late".utf8))
            }
            try #expect(right.receive(upTo: 10) == Array("late".utf8))
            #expect(throws: NetError.self) { try right.receive(upTo: 10, until: .after(.seconds(3600))) }
        }
    }

    // MARK: Seeds

    @Test func `the same seed gives the same run, another seed another`() throws {
        func run(_ seed: UInt64?) throws -> [Int] {
            let trace = Trace()
            try onVirtualHub(seed: seed) {
                for number in 0..<20 {
                    spawn {
                        try Greenlet.yield()
                        trace.append("\(number)")
                        try Greenlet.sleep(for: .seconds(1))
                        trace.append("\(number)")
                    }
                }
                try Hub.current.run()
            }
            return trace.lines.map { Int($0)! }
        }
        let (first, again, other, unseeded) = (try run(1), try run(1), try run(2), try run(nil))
        #expect(first == again)
        #expect(first != other)
        #expect(unseeded == Array(0..<20) + Array(0..<20))
        #expect(first.sorted() == unseeded.sorted())
    }

    @Test func `any place in the ready queue can come first`() throws {
        for (count, index) in (1...4).flatMap({ count in (0..<count).map { (count, $0) } }) {
            var pool = StackPool()
            defer { pool.unmapAll() }
            let threads = try (0..<count).map { _ in try pool.take(.standard) }
            var queue = ReadyQueue()
            for thread in threads { queue.append(thread) }
            #expect(queue.count == count)
            queue.moveToFront(index)
            var order: [GreenThread] = []
            while let thread = queue.popFirst() { order.append(thread) }
            var expected = threads
            expected.insert(expected.remove(at: index), at: 0)
            #expect(order == expected)
        }
    }
}
