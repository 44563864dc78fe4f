import TestSupport
import Testing

@testable import GreenNet

/// Tasks that learn how green threads end.
struct GreenletEndsTests {
    @Test func `a task gets the ends of green threads in their order, each once`() throws {
        try onHub {
            let finished = spawn(name: "first") { 1 }
            try finished.join()
            let failed = spawn(name: "second") {
                try Greenlet.sleep(for: .milliseconds(2))
                throw Failure(2)
            }
            let killed = spawn(name: "third") { try Greenlet.sleep(until: .never) }
            let ends = Hub.current.ends(of: [killed, finished, failed, killed])
            try TaskThreads.with { tasks in
                let task = tasks.start {
                    var seen: [GreenletEnd] = []
                    for try await end in ends {
                        seen.append(end)
                        if end.name == "second" { break }
                    }
                    return seen
                }
                var seen = try task.value()
                killed.kill()
                seen += try tasks.start {
                    var seen: [GreenletEnd] = []
                    for try await end in ends { seen.append(end) }
                    return seen
                }.value()
                #expect(seen.map(\.name) == ["first", "second", "third"])
                #expect(seen.map(\.id) == [finished.id, failed.id, killed.id])
                #expect(seen.map(\.state) == [.finished, .failed, .killed])
                #expect(seen[0].error == nil)
                #expect(seen[1].error as? Failure == Failure(2))
                #expect(seen[2].error is GreenletExit)
            }
        }
    }

    @Test func `of no green threads there is no end to wait for`() throws {
        try onHub {
            let ends = Hub.current.ends(of: [])
            try TaskThreads.with { tasks in
                try tasks.start { for try await _ in ends { Issue.record("an end of no green thread") } }.value()
            }
        }
    }

    @Test func `a hub that closes ends the sequence, and a cancelled task its loop`() throws {
        try onHub {
            try TaskThreads.with { tasks in
                let (ends, others) = try TestThread {
                    let others = (0..<10).map { _ in spawn { try Greenlet.sleep(until: .never) } }
                    let ends = Hub.current.ends(of: others)
                    let cancelled = tasks.start { for try await _ in ends {} }
                    try Greenlet.yield()
                    cancelled.cancel()
                    #expect(throws: CancellationError.self) { try cancelled.value() }
                    Hub.current.close()
                    return (ends, others.count)
                }.value()
                let count = tasks.start {
                    var states: [AnyGreenlet.State] = []
                    for try await end in ends { states.append(end.state) }
                    return states
                }
                try #expect(count.value() == Array(repeating: .killed, count: others))
            }
        }
    }

    @Test func `the main green thread ends with its hub`() throws {
        try onHub {
            try TaskThreads.with { tasks in
                let ends = try TestThread {
                    let ends = Hub.current.ends(of: [Greenlet.current])
                    Hub.current.close()
                    return ends
                }.value()
                let seen = tasks.start {
                    var seen: [GreenletEnd] = []
                    for try await end in ends { seen.append(end) }
                    return seen
                }
                try #expect(seen.value().map(\.name) == ["main"])
                try #expect(seen.value().map(\.state) == [.finished])
            }
        }
    }
}
