import Glibc
import GreenNet
import TestSupport

/// OS threads wait at the gate until it is opened.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var waiting = 0
        var most = 0
    }

    private let state = Guarded(State())

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

func eventuallyOnHub(_ condition: () throws -> Bool) throws {
    let deadline = Deadline.after(.seconds(10) * Sanitizer.slowness)
    while try !condition(), !deadline.hasPassed { try Greenlet.sleep(for: .milliseconds(1)) }
}

/// How many bodies run at the same time, and on which OS threads.
final class Crowd: Sendable {
    private struct State {
        var inside = 0
        var most = 0
        var threads: Set<UInt> = []
    }

    private let state = Guarded(State())

    var most: Int { state.withLock { $0.most } }
    var threads: Set<UInt> { state.withLock { $0.threads } }

    func enter<Value>(_ body: () throws -> Value) rethrows -> Value {
        state.withLock { state in
            state.inside += 1
            state.most = max(state.most, state.inside)
            state.threads.insert(UInt(pthread_self()))
        }
        defer { state.withLock { $0.inside -= 1 } }
        return try body()
    }
}

/// Blocks the OS thread, as a body of a pool does: a second of the course's programs takes 20 ms here.
func block(courseSeconds: Double) { poll(nil, 0, Int32(courseSeconds * 20)) }
