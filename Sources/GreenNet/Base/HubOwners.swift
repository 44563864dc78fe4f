internal import CSwitch
import Glibc
import Synchronization

/// The OS threads that have, or had, a hub: for the message about an object that is used elsewhere.
enum HubOwners {
    private struct Entry {
        let thread: OSThreadName
        var hasHub = true
    }

    private struct State: ~Copyable {
        var last: UInt32 = 0
        var entries: [UInt32: Entry] = [:]
        /// Those whose hub has closed, in that order.
        var closed: [UInt32] = []

        mutating func leave(_ number: UInt32) {
            entries[number]?.hasHub = false
            closed.append(number)
            if closed.count > closedLimit { entries[closed.removeFirst()] = nil }
        }
    }

    /// How many OS threads without a hub are remembered: there may be one for each call of an `OffloadPool`.
    private static let closedLimit = 64
    private static let state = Mutex(State())
    /// ThreadSanitizer does not see Swift's mutex, and needs an object in its place.
    private static let lock = Lock()

    private final class Lock: Sendable {}

    // Unsafe, but written in a forked child that has one OS thread, and otherwise under the lock.
    nonisolated(unsafe) private static var leftByFork: UInt32 = 0

    private static func locked<Answer: Sendable>(_ body: (inout State) -> Answer) -> Answer {
        state.withLock { state in
            Sanitizer.locked(lock) {
                if leftByFork != 0 { noteFork(&state) }
                return body(&state)
            }
        }
    }

    /// The OS thread that calls has a hub from now on.
    static func enter() {
        let entry = Entry(thread: .here)
        let number = locked { state in
            let number = green_owner_here() == 0 ? nextNumber(&state) : green_owner_here()
            state.closed.removeAll { $0 == number }
            state.entries[number] = entry
            return number
        }
        green_set_owner_here(number)
    }

    /// 0 means no OS thread.
    private static func nextNumber(_ state: inout State) -> UInt32 {
        state.last = max(1, state.last &+ 1)
        return state.last
    }

    /// It has none any more.  What belongs to it still does.
    static func leave() {
        let number = green_owner_here()
        locked { $0.leave(number) }
    }

    /// In a forked child: as `leave`, but noted only before the next look.  A child that never looks has no copies of these pages.
    static func leaveByFork() { leftByFork = green_owner_here() }

    private static func noteFork(_ state: inout State) {
        let number = leftByFork
        leftByFork = 0
        state.leave(number)
    }

    /// Whether `owner` has a hub now.
    static func hasHub(_ owner: Owner) -> Bool { locked { $0.entries[owner.number]?.hasHub ?? false } }

    // MARK: In words

    static func describe(_ owner: Owner) -> String {
        guard let entry = locked({ $0.entries[owner.number] }) else { return "an OS thread whose hub has closed" }
        return "\(entry.thread), whose hub \(entry.hasHub ? "lives" : "has closed")"
    }

    static func describeCaller() -> String {
        let task = withUnsafeCurrentTask { $0 == nil } ? "" : " and runs a Swift task"
        return "\(OSThreadName.here), which has \(green_running() == nil ? "no hub" : "a hub of its own")\(task)"
    }
}

/// An OS thread as messages name it.
struct OSThreadName: CustomStringConvertible {
    /// As the kernel has it; the process's own number for its first OS thread.
    let number: pid_t
    let name: String

    static var here: OSThreadName { OSThreadName(number: LinuxCalls.threadNumber(), name: LinuxCalls.threadName()) }

    /// Whether the process began with it.
    var isMain: Bool { number == getpid() }

    /// As in `OS thread 4711 (worker 1)`.
    var description: String { "OS thread \(number) (\(name.escaped))" }
}
