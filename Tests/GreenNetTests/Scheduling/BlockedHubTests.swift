import Glibc
import Synchronization
import TestSupport
import Testing

@testable import GreenNet

struct BlockedHubTests {
    @Test func `a green thread that doesn't give way is reported once each time, with where it is`() throws {
        try onHub {
            let reports = Reports()
            try Hub.current.watch(longerThan: .milliseconds(20)) { reports.append($0) }
            for round in 1...2 {
                let culprit = spawn(name: "culprit \(round)") { spinUntil { reports.all.count >= round } }
                try culprit.value()
                // It goes on, and blocks again: another time.
                try Greenlet.sleep(for: .milliseconds(1))
            }
            Hub.current.stopWatching()
            #expect(reports.all.count == 2)
            let first = try #require(reports.all.first)
            #expect(first.greenThread == "green thread 2 (culprit 1)")
            #expect(first.length >= .milliseconds(20))
            // ThreadSanitizer's own functions, in which it may be at the moment, keep no frame pointers.
            #expect(Sanitizer.active == .thread || first.backtrace.contains { $0.contains("spinUntil") })
            #expect(first.description.hasPrefix("green thread 2 (culprit 1) has not given way for "))
        }
    }

    @Test func `the main green thread is seen too, and a call that blocks`() throws {
        try onHub {
            let reports = Reports()
            try Hub.current.watch(longerThan: .milliseconds(10)) { reports.append($0) }
            try Greenlet.yield()
            // Not a wait of a green thread: the whole OS thread sleeps.
            while reports.all.isEmpty { poll(nil, 0, 100) }
            #expect(reports.all.first?.greenThread == "green thread 1 (main)")
        }
    }

    @Test func `one that waits in its loop, or whose green threads give way, is not blocked`() throws {
        try onHub {
            let reports = Reports()
            try Hub.current.watch(longerThan: .milliseconds(200) * Sanitizer.slowness) { reports.append($0) }
            let busy = spawn { while true { try Greenlet.yield() } }
            try Greenlet.sleep(for: .milliseconds(300) * Sanitizer.slowness)
            busy.kill()
            try Greenlet.sleep(for: .milliseconds(300) * Sanitizer.slowness)
            #expect(reports.all.map(\.description) == [])
        }
    }

    @Test func `it ends with its hub, and can be started anew`() throws {
        try onOSThread {
            for _ in 0..<3 {
                try Hub.current.watch(longerThan: .milliseconds(10))
                try Hub.current.watch(longerThan: .milliseconds(10))
                Hub.current.close()
            }
        }
    }
}

/// What OS threads that watch have told.
private final class Reports: Sendable {
    private let state = Mutex<[BlockedHub]>([])
    var all: [BlockedHub] { state.withLock { $0 } }
    func append(_ report: BlockedHub) { state.withLock { $0.append(report) } }
}

@inline(never)
private func spinUntil(_ isDone: () -> Bool) { while !isDone() {} }
