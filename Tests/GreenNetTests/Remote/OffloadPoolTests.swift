import Glibc
import Synchronization
import TestSupport
import Testing

@testable import GreenNet

// The pool's OS threads must be gone after each of these; `onHub` sees to that.
struct OffloadPoolTests {
    @Test func `a call that blocks runs on another OS thread, and the hub goes on meanwhile`() throws {
        try onHub {
            let gate = Gate()
            let own = pthread_self()
            let call = spawn {
                try Hub.current.offload {
                    gate.pass()
                    return pthread_self() != own
                }
            }
            try eventuallyOnHub { gate.waiting == 1 }
            #expect(call.state == .waiting)
            gate.open()
            try #expect(call.value())
        }
    }

    @Test func `an error is thrown to who has asked`() throws {
        try onHub {
            #expect(throws: Failure(3)) { try Hub.current.offload { throw Failure(3) } }
        }
    }

    @Test func `no more than the limit run at a time, and the others have their turn in order`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            let order = Mutex<[Int]>([])
            let calls = (0..<4).map { number in
                spawn {
                    try pool.run {
                        gate.pass()
                        order.withLock { $0.append(number) }
                    }
                }
            }
            try eventuallyOnHub { gate.waiting == 1 && calls.allSatisfy { $0.state == .waiting } }
            gate.open()
            for call in calls { try call.value() }
            #expect(gate.most == 1)
            #expect(order.withLock { $0 } == [0, 1, 2, 3])
        }
    }

    @Test func `one that is late or killed leaves, and its call never begins where it has not`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            let gate = Gate()
            let hasBegun = Atomic(false)
            // It goes on, since nothing can interrupt it, and the others wait for its OS thread.
            let first = spawn { try pool.run { gate.pass() } }
            try eventuallyOnHub { gate.waiting == 1 }
            first.kill()
            #expect(throws: GreenletExit()) { try first.value() }
            #expect(throws: WaitError.deadlinePassed) {
                try pool.run(until: .after(.milliseconds(2))) { hasBegun.store(true, ordering: .relaxed) }
            }
            let killed = spawn { try pool.run { hasBegun.store(true, ordering: .relaxed) } }
            try Greenlet.yield()
            killed.kill()
            #expect(throws: GreenletExit()) { try killed.value() }
            #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(2)) { try pool.run { hasBegun.store(true, ordering: .relaxed) } }
            }
            gate.open()
            try #expect(pool.run { 5 } == 5)
            let begun = hasBegun.load(ordering: .relaxed)
            #expect(!begun)
        }
    }

    @Test func `a call made by a call of the same pool runs at once`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            try #expect(pool.run { try pool.run { 1 } + 1 } == 2)
        }
    }

    @Test func `nothing that a call has used or given is held afterwards`() throws {
        try onHub {
            let pool = OffloadPool(limit: 1)
            weak var argument: Token?
            weak var result: Token?
            do {
                let given = Token()
                argument = given
                let taken = try pool.run {
                    _ = given
                    return Token()
                }
                result = taken
            }
            try eventuallyOnHub { argument == nil && result == nil }
            #expect(argument == nil && result == nil)
        }
    }

    @Test func `several hubs use one pool`() throws {
        try onHub {
            let pool = OffloadPool(limit: 2)
            let hubs = (0..<3).map { hub in
                OSThread {
                    defer { Hub.current.close() }
                    let calls = (0..<20).map { number in spawn { try pool.run { hub * 100 + number } } }
                    return try calls.map { try $0.value() }
                }
            }
            for (hub, thread) in hubs.enumerated() { try #expect(thread.value() == (0..<20).map { hub * 100 + $0 }) }
        }
    }
}

private final class Token: Sendable {}

/// Holds OS threads up until it is opened.
private final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var waiting = 0
        var most = 0
    }

    private let state = Mutex(State())

    var waiting: Int { state.withLock { $0.waiting } }
    var most: Int { state.withLock { $0.most } }

    func open() { state.withLock { $0.isOpen = true } }

    func pass() {
        state.withLock {
            $0.waiting += 1
            $0.most = max($0.most, $0.waiting)
        }
        _ = eventually { state.withLock { $0.isOpen } }
        state.withLock { $0.waiting -= 1 }
    }
}

private func eventuallyOnHub(_ condition: () -> Bool) throws {
    let deadline = Deadline.after(.seconds(10))
    while !condition(), !deadline.hasPassed { try Greenlet.sleep(for: .milliseconds(1)) }
}
