import Glibc
import Synchronization
import TestSupport
import Testing

@testable import GreenNet

/// The programs that courses on thread pools are made of, with their numbers.  A body blocks its OS thread, so a second of theirs takes 20 ms here; nothing may
/// be faster than the OS threads allow, and how much slower a busy machine is does not count.
struct OffloadCourseTests {
    private func courseSeconds(_ count: Int) -> Duration { .milliseconds(20) * count }

    @Test func `five tasks of 2 s on five OS threads run at the same time`() throws {
        try onHub {
            let crowd = Crowd()
            let mayEnd = Mutex(false)
            try withOffloadPool(limit: 5) { pool in
                let futures = try (0..<5).map { number in
                    try pool.submit {
                        crowd.enter {
                            // Returns only where all five are there.
                            _ = eventually { crowd.most == 5 && mayEnd.withLock { $0 } }
                            return number
                        }
                    }
                }
                #expect(futures.allSatisfy { !$0.hasEnded })
                mayEnd.withLock { $0 = true }
                try #expect(futures.map { try $0.value(until: .after(.seconds(20))) } == [0, 1, 2, 3, 4])
            }
            #expect(crowd.most == 5 && crowd.threads.count == 5)
        }
    }

    @Test func `ten tasks of 5 x 1 s on five OS threads take 10 s, and have never more than five ids`() throws {
        try onHub {
            let crowd = Crowd()
            let time = try elapsed {
                try withOffloadPool(limit: 5) { pool in
                    for _ in 0..<10 {
                        try pool.submit { crowd.enter { for _ in 0..<5 { block(courseSeconds: 1) } } }
                    }
                }
            }
            #expect(crowd.most == 5)
            #expect(crowd.threads.count == 5)
            #expect(time >= courseSeconds(10))
        }
    }

    @Test func `map of the squares of 1 to 4 on three OS threads`() throws {
        try onHub {
            let squares = try withOffloadPool(limit: 3) { pool in
                try pool.map(1..<5) { number in
                    block(courseSeconds: 0.2)
                    return number * number
                }
            }
            #expect(squares == [1, 4, 9, 16])
        }
    }

    @Test func `a callback for each of five, in the order of their ends`() throws {
        try onHub {
            var lines: [String] = []
            try withOffloadPool(limit: 1) { pool in
                for number in 0..<5 {
                    try pool.submit { number * number }.onEnd { lines.append("result: \(try $0.get())") }
                }
            }
            #expect(lines == ["result: 0", "result: 1", "result: 4", "result: 9", "result: 16"])
        }
    }

    @Test func `of five sites by three, one fails, and the callbacks of the others write their lines`() throws {
        try onHub {
            let crowd = Crowd()
            var (lines, failures) = ([String](), [String]())
            try withOffloadPool(limit: 3) { pool in
                for site in ["a", "bb", "ccc", "dddd", "eeeee"] {
                    let call = try pool.submit {
                        try crowd.enter {
                            block(courseSeconds: 0.2)
                            if site == "ccc" { throw Failure(404) }
                            return site.count
                        }
                    }
                    call.onEnd { result in
                        switch result {
                        case .success(let size): lines.append("url:\(site) size:[\(size)]")
                        case .failure(let error): failures.append("url:\(site) \(error)")
                        }
                    }
                }
            }
            #expect(Set(lines) == ["url:a size:[1]", "url:bb size:[2]", "url:dddd size:[4]", "url:eeeee size:[5]"])
            #expect(failures == ["url:ccc Failure(404)"])
            #expect(crowd.most == 3)
        }
    }

    @Test func `ten of 1 s by three take 4 s, and the results are in the order of the calls`() throws {
        try onHub {
            let crowd = Crowd()
            var lines: [String] = []
            let time = try elapsed {
                try withOffloadPool(limit: 3) { pool in
                    let calls = try (0..<10).map { number in
                        try pool.submit {
                            crowd.enter {
                                block(courseSeconds: 1)
                                return "hello \(number)"
                            }
                        }
                    }
                    for call in calls { lines.append(try call.value()) }
                }
            }
            #expect(lines == (0..<10).map { "hello \($0)" })
            #expect(crowd.most == 3)
            #expect(time >= courseSeconds(4))
        }
    }

    @Test func `ten of 0.1 s, each waited for before the next, run one at a time`() throws {
        try onHub {
            let crowd = Crowd()
            let pool = OffloadPool(limit: 3)
            let time = try elapsed {
                for number in 0..<10 {
                    let answer = try pool.run {
                        crowd.enter { block(courseSeconds: 0.1) }
                        return number
                    }
                    #expect(answer == number)
                }
            }
            #expect(crowd.most == 1)
            #expect(time >= courseSeconds(1))
        }
    }

    @Test func `a result that is not there after 1 s is not, and is there after 3 s`() throws {
        try onHub {
            let pool = OffloadPool(limit: 3)
            let start = Deadline.now
            let call = try pool.submit {
                block(courseSeconds: 3)
                return 2 * 2
            }
            #expect(!call.hasEnded)
            #expect(throws: WaitError.deadlinePassed) { try call.value(until: start + courseSeconds(1)) }
            try #expect(call.value() == 4)
            #expect(Deadline.now - start >= courseSeconds(3))
        }
    }

    @Test func `six by four with lengths of their own, and a line when all are done`() throws {
        try onHub {
            let crowd = Crowd()
            var lines: [String] = []
            let lengths = [("Lee", 1.0), ("Marlon", 4), ("Allen", 3), ("Frank", 2), ("Egon", 2), ("Lily", 2)]
            try withOffloadPool(limit: 4) { pool in
                for (name, length) in lengths {
                    let call = try pool.submit { crowd.enter { block(courseSeconds: length) } }
                    call.onEnd { _ in lines.append(name) }
                }
                lines.append("Waiting for all")
            }
            lines.append("All done")
            #expect(lines.first == "Waiting for all" && lines.last == "All done" && lines.count == 8)
            #expect(Set(lines.dropFirst().dropLast()) == Set(lengths.map(\.0)))
            #expect(crowd.most == 4)
        }
    }

    @Test func `ten squares`() throws {
        try onHub {
            try #expect(
                withOffloadPool(limit: 4) { try $0.map(0..<10) { $0 * $0 } } == [0, 1, 4, 9, 16, 25, 36, 49, 64, 81])
        }
    }

    @Test func `six downloads on four OS threads are parsed by callbacks in the main one, which wait at the same time`()
        throws
    {
        try onHub {
            let crowd = Crowd()
            let own = UInt(pthread_self())
            let barrier = GreenBarrier(6)
            var parsers: [UInt] = []
            try withOffloadPool(limit: 4) { pool in
                for _ in 0..<6 {
                    try pool.submit { crowd.enter { block(courseSeconds: 0.1) } }.onEnd { _ in
                        // One after the other, they would never all be here.
                        _ = try barrier.wait()
                        parsers.append(UInt(pthread_self()))
                    }
                }
            }
            #expect(parsers == Array(repeating: own, count: 6))
            #expect(crowd.threads.count <= 4 && !crowd.threads.contains(own))
        }
    }

    @Test func `fifty of 0.1 s on ten, whose callbacks have 100 to 149`() throws {
        try onHub {
            let crowd = Crowd()
            var answers: [Int] = []
            var most = 0
            let time = try elapsed {
                try withOffloadPool(limit: 10) { pool in
                    for number in 0..<50 {
                        let call = try pool.submit {
                            crowd.enter {
                                block(courseSeconds: 0.1)
                                return number + 100
                            }
                        }
                        call.onEnd { result in
                            most = max(most, pool.statistics.threads)
                            answers.append(try result.get())
                        }
                    }
                }
            }
            #expect(answers.sorted() == Array(100..<150))
            #expect(crowd.most <= 10 && most <= 10)
            #expect(crowd.threads.count <= 10)
            #expect(time >= courseSeconds(1) / 2)
        }
    }

    @Test func `a terminated pool runs what has begun, and drops the rest`() throws {
        try onHub {
            let pool = OffloadPool(limit: 10)
            let gate = Gate()
            let calls = try (0..<50).map { _ in try pool.submit { gate.pass() } }
            try eventuallyOnHub { gate.waiting == 10 }
            try #expect(!pool.shutDown(dropsQueued: true, until: .now))
            gate.open()
            try #expect(pool.shutDown())
            let dropped = calls.filter { call in
                if case .failure(OffloadError.shutDown)? = call.result { true } else { false }
            }
            #expect(dropped.count == 40)
        }
    }

    @Test func `a task that throws takes no OS thread with it, and the end comes all the same`() throws {
        try onHub {
            let tasks = GreenQueue<Int>()
            let failures = Atomic(0)
            let pool = OffloadPool(limit: 5)
            for number in 0..<20 { try tasks.put(number) }
            for _ in 0..<5 {
                spawn {
                    while let number = try tasks.next() {
                        do {
                            try pool.run { if number % 2 == 1 { throw Failure(number) } }
                        } catch is Failure {
                            failures.add(1, ordering: .relaxed)
                        }
                        tasks.taskDone()
                    }
                }
            }
            try #expect(tasks.joinTasks(until: .after(.seconds(20))))
            tasks.shutDown()
            #expect(failures.load(ordering: .relaxed) == 10)
        }
    }

    // MARK: Threads

    @Test func `hello twice from two, who sleep between, and the main one joins both`() throws {
        try onHub {
            let lines = Mutex<[String]>([])
            let pool = OffloadPool(limit: 2)
            let calls = try ["Python", "MING"].map { (name: String) in
                try pool.submit(name: name) {
                    for _ in 0..<2 {
                        lines.withLock { $0.append("hello \(name)") }
                        block(courseSeconds: 1)
                    }
                }
            }
            #expect(calls.map(\.name) == ["Python", "MING"])
            try joinAll(calls)
            #expect(lines.withLock { $0.sorted() } == ["hello MING", "hello MING", "hello Python", "hello Python"])
        }
    }

    @Test func `four that are joined one after the other take as long as the longest`() throws {
        try onHub {
            let crowd = Crowd()
            let pool = OffloadPool(limit: 4)
            let calls = try (1...4).map { length in
                try pool.submit {
                    crowd.enter {
                        _ = eventually { crowd.most == 4 }
                        block(courseSeconds: Double(length) / 10)
                    }
                }
            }
            for call in calls { try #expect(call.join(until: .after(.seconds(20)))) }
            #expect(crowd.most == 4)
        }
    }

    @Test func `a timer says hello after 1 s, and one that is cancelled never does`() throws {
        try onVirtualHub {
            let start = Deadline.now
            var lines: [String] = []
            let timer = spawn(after: .seconds(1)) { lines.append("hello, world") }
            let cancelled = spawn(after: .seconds(1)) { lines.append("never") }
            try Greenlet.sleep(for: .milliseconds(500))
            cancelled.kill()
            try timer.value()
            #expect(Deadline.now - start == .seconds(1))
            try Greenlet.sleep(for: .seconds(1))
            #expect(lines == ["hello, world"])
        }
    }
}
