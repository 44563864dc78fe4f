import TestSupport
import Testing

@testable import GreenNet

/// Three requests, each with task-locals of its own, in any order of all green threads that work for them.
struct TaskLocalTests {
    @Test func `every green thread reads the task-locals of its request, in any order`() throws {
        try onEverySeed { seed in
            let wrong = Wrong()
            let requests = ["A", "B"].map { name in
                spawn { try Request.$name.withValue(name) { try serve(wrong, SeededRandom(seed: seed)) } }
            }
            // It has set nothing.
            let other = spawn { try serve(wrong, SeededRandom(seed: seed + 1)) }
            try joinAll(requests + [other], throwing: true)
            #expect(wrong.reads.isEmpty, "seed \(seed): \(wrong.reads)")
            #expect(Request.name == "none")
        }
    }

    /// The parts of a request, in an order drawn by `random`.
    private func serve(_ wrong: Wrong, _ random: SeededRandom) throws {
        var random = random
        let name = Request.name
        func check(_ place: String, _ read: String = Request.name) {
            if read != name { wrong.reads.append("\(name) reads \(read) \(place)") }
        }
        let parts: [() throws -> Void] = [
            { try inGroup(check) }, { try inPool(check) }, { try onOtherThread(check) }, { try inFiber(check) },
            { try inGenerator(check) }, { try inLink(check) }, { try inScopes(check) }, { try whenKilled(check) },
        ]
        for part in parts.shuffled(using: &random) {
            try part()
            check("after a part")
        }
    }

    private typealias Check = (_ place: String, _ read: String) -> Void

    private func inGroup(_ check: @escaping Check) throws {
        try withGreenGroup { group in
            for _ in 0..<2 {
                group.spawn {
                    try Greenlet.yield()
                    check("in a group", Request.name)
                }
            }
        }
    }

    private func inPool(_ check: @escaping Check) throws {
        let pool = GreenPool(limit: 1)
        for _ in 0..<2 {
            try pool.spawn {
                try Greenlet.sleep(for: .milliseconds(1))
                check("in a pool", Request.name)
            }
        }
        try pool.join()
    }

    private func onOtherThread(_ check: Check) throws {
        let read = try Request.$number.withValue(7) {
            (try Hub.current.offload { Request.name }, Request.name, Request.number)
        }
        check("in a call on another OS thread", read.0)
        check("after a call on another OS thread", read.1)
        if read.2 != 7 { check("after a call on another OS thread", "\(read)") }
    }

    private func inFiber(_ check: @escaping Check) throws {
        let fiber = Fiber<Int> { number in
            check("in a fiber", Request.name)
            try Greenlet.yield()
            check("in a fiber", Request.name)
            return number + 1
        }
        let answer = try fiber.switchTo(1)
        check("after a fiber", answer == 2 ? Request.name : "\(answer)")
    }

    private func inGenerator(_ check: @escaping Check) throws {
        let names = Generator<String, Void> { out in
            for _ in 0..<2 {
                try out.yield(Request.name)
                try Request.$name.withValue("generator") { try out.yield(Request.name) }
            }
        }
        for number in 0..<4 {
            let read = try names.next()
            if number % 2 == 0 { check("of a generator", read ?? "nothing") }
            check("after a generator", Request.name)
            try Greenlet.yield()
        }
        try names.close()
    }

    private func inLink(_ check: @escaping Check) throws {
        let (target, isTold) = (spawn { try Greenlet.yield() }, GreenEvent())
        target.link { _ in
            try Greenlet.yield()
            check("in a link", Request.name)
            isTold.set()
        }
        try Request.$name.withValue("later") { try isTold.wait() }
    }

    private func inScopes(_ check: Check) throws {
        let name = Request.name
        for number in 0..<3 {
            let read = try Request.$number.withValue(number) {
                try Greenlet.yield()
                return try Request.$name.withValue("inner") {
                    try Greenlet.sleep(for: .milliseconds(number))
                    return "\(Request.name) \(Request.number)"
                }
            }
            check("in scopes", read == "inner \(number)" ? name : read)
        }
    }

    private func whenKilled(_ check: @escaping Check) throws {
        let killed = spawn {
            defer {
                try? shielded { try Greenlet.yield() }
                check("while it unwinds", Request.name)
            }
            try Request.$number.withValue(1) { try Greenlet.sleep(until: .never) }
        }
        try Greenlet.yield()
        killed.kill()
        try killed.join()
    }
}

private enum Request {
    @TaskLocal static var name = "none"
    @TaskLocal static var number = 0
}

/// What was read and should not have been.
private final class Wrong {
    var reads: [String] = []
}
