import TestSupport
import Testing

@testable import GreenNet

struct WaitSetTests {
    private func sleeper(_ milliseconds: Int) -> Greenlet<Int> {
        spawn {
            try Greenlet.sleep(for: .milliseconds(milliseconds))
            return milliseconds
        }
    }

    // MARK: waitAny

    @Test func `waitAny returns the first object to be ready, of any kind`() throws {
        try onHub {
            let (event, semaphore, result) = (GreenEvent(), GreenSemaphore(0), GreenResult<Int>())
            let never = spawn { try event.wait() }
            spawn {
                try Greenlet.yield()
                semaphore.release()
                result.set(1)
            }
            let all: [any Waitable] = [never, event, semaphore, result]
            try #expect(waitAny(all) === semaphore)
            try Greenlet.yield()
            // Of objects that are ready already, the first in the list is returned.  Nothing was taken.
            try #expect(waitAny([never, result, semaphore]) === result)
            #expect(semaphore.available == 1)
            #expect(all.allSatisfy { $0.waitSource.object.observerCount == 0 })
            event.set()
        }
    }

    @Test func `waitAny returns nil at its deadline, and for an empty list`() throws {
        try onHub {
            let event = GreenEvent()
            try #expect(waitAny([event], until: .now) == nil)
            try #expect(waitAny([event], until: .after(.milliseconds(2))) == nil)
            try #expect(waitAny([GreenEvent]()) == nil)
            #expect(event.observerCount == 0)
        }
    }

    @Test func `a set event is returned each time, a cleared event is not`() throws {
        try onHub {
            let event = GreenEvent()
            let waiter = spawn {
                try #expect(waitAny([event]) === event)
                event.clear()
                try #expect(waitAny([event], until: .after(.milliseconds(2))) == nil)
            }
            try Greenlet.yield()
            event.set()
            try #expect(waitAny([event]) === event)
            try #expect(waitAny([event]) === event)
            try waiter.value()
        }
    }

    @Test func `an event that is set and cleared before the waiting green thread runs was ready`() throws {
        try onHub {
            let event = GreenEvent()
            let waiter = spawn { try waitAny([event]) === event }
            try Greenlet.yield()
            event.set()
            event.clear()
            try #expect(waiter.value())
        }
    }

    @Test func `a kill or a time limit ends the wait and leaves no observer`() throws {
        try onHub {
            let event = GreenEvent()
            let killed = spawn { try waitAny([event]) }
            let limited = spawn { try withTimeout(.milliseconds(1)) { try waitAny([event]) } }
            try Greenlet.yield()
            #expect(event.observerCount == 2)
            killed.kill()
            #expect(throws: GreenletExit()) { try killed.value() }
            #expect(throws: TimedOut.self) { try limited.value() }
            #expect(event.observerCount == 0)
        }
    }

    // MARK: Kinds of objects

    /// A class of a program, which can be waited for as its event can.
    private final class Download: Waitable {
        let done = GreenEvent()
        var waitSource: WaitSource { done.waitSource }
    }

    @Test func `a class of the program can be waited for with others`() throws {
        try onHub {
            let (first, second, queue) = (Download(), Download(), GreenQueue<Int>())
            spawn { second.done.set() }
            try #expect(waitAny([first, second]) === second)
            try #expect(waitAny([first, queue, second]) === second)
            first.done.set()
            try #expect(joinAll([first, second]).map(\.done.isSet) == [true, true])
        }
    }

    @Test func `a list of one kind gives objects of that kind`() throws {
        try onVirtualHub {
            let sleepers = [sleeper(2), sleeper(1)]
            try #expect(waitAny(sleepers)?.value() == 1)
            try #expect(joinAll(sleepers).map { try $0.value() } == [1, 2])
            var values: [Int] = []
            try iterateReady(sleepers) { values.append(try $0.value()) }
            #expect(values == [2, 1])
            let channel = GreenChannel<Int>()
            spawn { try channel.put(3) }
            try #expect(waitAny([channel])?.take() == 3)
        }
    }

    // MARK: iterateReady

    @Test func `iterateReady gives objects in the order in which they are ready, and its body may wait`() throws {
        try onHub {
            let ended = spawn { 0 }
            try ended.join()
            let failing = spawn { () throws -> Int in throw Failure(1) }
            let all = [sleeper(20), sleeper(5), failing, ended]
            var seen: [AnyGreenlet] = []
            let allReady = try iterateReady(all) { greenlet in
                seen.append(greenlet)
                try Greenlet.sleep(for: .milliseconds(1))
            }
            #expect(allReady)
            #expect(same(seen, all.reversed()))
            #expect(throws: Failure(1)) { try failing.value() }
        }
    }

    @Test func `a body that throws ends the call, and leaves no observer`() throws {
        try onHub {
            let all = [sleeper(2), sleeper(30)]
            #expect(throws: Failure(3)) { try iterateReady(all) { _ in throw Failure(3) } }
            #expect(all.allSatisfy { $0.observerCount == 0 })
            try #expect(!iterateReady(all, until: .now) { _ in })
            try joinAll(all)
        }
    }

    // MARK: joinAll

    @Test func `joinAll returns each object once, in the order in which they end`() throws {
        try onHub {
            let (slow, fast) = (sleeper(20), sleeper(5))
            let ready = try joinAll([slow, fast, slow, fast])
            #expect(same(ready, [fast, slow]))
        }
    }

    @Test func `joinAll waits for the given count, or until its deadline`() throws {
        try onHub {
            let all = [sleeper(40), sleeper(4), sleeper(40)]
            try #expect(joinAll(all, count: 0).isEmpty)
            try #expect(joinAll(all, count: 1).first === all[1])
            #expect(!all[0].hasEnded)
            try #expect(joinAll(all, until: .now).count == 1)
            try #expect(joinAll(all).count == 3)
        }
    }

    @Test func `joinAll throws the first error in time, with throwing`() throws {
        try onHub {
            func fails(after milliseconds: Int) -> Greenlet<Void> {
                spawn {
                    try Greenlet.sleep(for: .milliseconds(milliseconds))
                    throw Failure(milliseconds)
                }
            }
            let (later, earlier, living) = (fails(after: 20), fails(after: 5), sleeper(60))
            #expect(throws: Failure(5)) { try joinAll([later, earlier, living], throwing: true) }
            #expect(!living.hasEnded)
            try #expect(joinAll([later, earlier, living] as [AnyGreenlet], count: 2).count == 2)
            #expect(throws: Failure(20)) { try later.value() }
            #expect(throws: Failure(5)) { try earlier.value() }
            living.kill()
            // A plain kill is no failure.
            try #expect(joinAll([living], throwing: true).count == 1)
        }
    }

    @Test func `two of five events and five results are ready while their sender still runs`() throws {
        try onHub {
            let events = (0..<5).map { _ in GreenEvent() }
            let results = (0..<5).map { _ in GreenResult<Int>() }
            let sender = spawn {
                for (event, result) in zip(events, results) {
                    event.set()
                    try Greenlet.yield()
                    result.set(1)
                    try Greenlet.yield()
                }
            }
            let all = events as [any Waitable] + results
            let firstTwo = try joinAll(all, count: 2)
            #expect(firstTwo[0] === events[0] && firstTwo[1] === results[0])
            #expect(!sender.hasEnded)
            try #expect(joinAll(all).count == 10)
        }
    }

    // MARK: killAll

    @Test func `killAll ends green threads that have not begun, and waits for the others`() throws {
        try onHub {
            var begun = 0
            let sleeping = spawn { try Greenlet.sleep(until: .never) }
            try Greenlet.yield()
            let unstarted = (0..<3).map { _ in spawn { begun += 1 } }
            try #expect(killAll([sleeping] + unstarted))
            #expect(begun == 0)
            #expect(([sleeping] + unstarted).allSatisfy { $0.state == .killed })
        }
    }

    @Test func `killAll returns false if a green thread runs on after the deadline`() throws {
        try onHub {
            let event = GreenEvent()
            let lingering = spawn { try shielded { try event.wait() } }
            try Greenlet.yield()
            try #expect(!killAll([lingering], throwing: Failure(2), until: .after(.milliseconds(2))))
            #expect(!lingering.hasEnded)
            event.set()
            try #expect(lingering.value())
        }
    }
}

private func same(_ left: [AnyGreenlet], _ right: [AnyGreenlet]) -> Bool {
    left.map(ObjectIdentifier.init) == right.map(ObjectIdentifier.init)
}
