import TestSupport
import Testing

@testable import GreenNet

struct DumpTests {
    @Test func `a hub describes each of its green threads, under its spawner, the oldest first`() throws {
        try onHub {
            let line = #line
            let sleeper = spawn(name: "sleeper") { try Greenlet.sleep(for: .seconds(60)) }
            let joiner = spawn { try sleeper.join() }
            let runner = spawn(name: "runner") { try Hub.current.run() }
            let ready = spawn(name: "ready") { while true { try Greenlet.yield() } }
            try Greenlet.yield()
            let newcomer = spawn(name: "newcomer") {}
            #expect(
                Hub.current.description.withoutAges == """
                      green thread 1 (main): running
                        green thread 2 (sleeper): waits for its time to sleep to be over, spawned at \(file):\(line + 1)
                        green thread 3: waits for the end of green thread 2, spawned at \(file):\(line + 2)
                        green thread 4 (runner): waits for the end of all green threads, spawned at \(file):\(line + 3)
                        green thread 5 (ready): ready, spawned at \(file):\(line + 4)
                        green thread 6 (newcomer): not begun, spawned at \(file):\(line + 6)
                    """)
            for greenlet in [sleeper, joiner, runner, ready, newcomer] as [AnyGreenlet] { greenlet.kill() }
            try Hub.current.run()
            #expect(Hub.current.description == "  green thread 1 (main): running")
        }
    }

    @Test func `the green thread that asks is shown as running`() throws {
        try onHub {
            let line = #line + 1
            let dump = try spawn(name: "asks") { Hub.current.description }.value()
            #expect(
                dump.withoutAges == """
                      green thread 1 (main): waits for the end of green thread 2
                        green thread 2 (asks): running, spawned at \(file):\(line)
                    """)
        }
    }

    @Test func `each line says how long the green thread has waited`() throws {
        try onVirtualHub {
            let early = spawn(name: "early") { try Greenlet.sleep(until: .never) }
            try Greenlet.sleep(for: .seconds(3600))
            let late = spawn(name: "late") { try Greenlet.sleep(until: .never) }
            try Greenlet.sleep(for: .milliseconds(2_500))
            let lines = Hub.current.description.split(separator: "\n").map { $0.split(separator: ", spawned")[0] }
            #expect(lines[1].hasSuffix("(early): waits for its time to sleep to be over, for 3602.5 s so far"))
            #expect(lines[2].hasSuffix("(late): waits for its time to sleep to be over, for 2.5 s so far"))
            early.kill()
            late.kill()
        }
    }

    @Test func `a wait that ends and begins anew counts from then`() throws {
        try onVirtualHub {
            let signals = GreenQueue<Int>()
            let waiter = spawn { while true { _ = try signals.take() } }
            try Greenlet.sleep(for: .seconds(60))
            try signals.put(1)
            try Greenlet.sleep(for: .seconds(5))
            #expect(Hub.current.description.contains("waits for an item of a queue, for 5.0 s so far"))
            waiter.kill()
        }
    }

    @Test func `green threads that have ended are not in the description`() throws {
        try onHub {
            let greenlets = (0..<5).map { number in spawn(name: "\(number)") { try Greenlet.sleep(until: .never) } }
            try Greenlet.yield()
            // End the first, the last, and one between.
            for index in [0, 4, 2] {
                greenlets[index].kill()
                try greenlets[index].join()
                #expect(!Hub.current.description.contains("(\(index))"))
            }
            #expect(Hub.current.description.split(separator: "\n").count == 3)
            greenlets[1].kill()
            greenlets[3].kill()
        }
    }

    @Test func `a green thread whose spawner has ended is not indented, and the ones it has spawned are under it`()
        throws
    {
        try onHub {
            let event = GreenEvent()
            spawn(name: "short") {
                spawn(name: "orphan") {
                    spawn(name: "child") { try event.wait() }
                    try event.wait()
                }
            }
            for _ in 0..<3 { try Greenlet.yield() }
            let starts = Hub.current.description.split(separator: "\n").map { $0.prefix { $0 != ":" } }
            #expect(starts == ["  green thread 1 (main)", "  green thread 3 (orphan)", "    green thread 4 (child)"])
            event.set()
        }
    }

    @Test func `debugDescription adds the backtrace of each suspended green thread, innermost first`() throws {
        try onHub {
            let event = GreenEvent()
            spawn(name: "waits") { try waitDeepInside(event) }
            let unbegun = spawn(name: "unbegun") {}
            #expect(!Hub.current.debugDescription.contains("    at "))
            try Greenlet.yield()
            try unbegun.join()
            let frames = framesUnder("(waits)", in: Hub.current.debugDescription)
            let own = try #require(frames.firstIndex { $0.contains("waitDeepInside") })
            #expect(frames[..<own].contains { $0.contains("GreenEvent.wait") })
            #expect(!Hub.current.description.contains("    at "))
            event.set()
        }
    }
}

private let file = "GreenNetTests/DumpTests.swift"

@inline(never)
private func waitDeepInside(_ event: GreenEvent) throws {
    try event.wait()
    // This keeps the wait from being a tail call, which would leave no frame.
    try Greenlet.yield()
}

/// The lines of the backtrace of the green thread that `title` names.
private func framesUnder(_ title: String, in dump: String) -> [String] {
    let lines = dump.split(separator: "\n").map(String.init)
    return Array(lines.drop { !$0.contains(title) }.dropFirst().prefix { $0.hasPrefix("        at ") })
}
