// A hundred buyers, each a process of its own, and one ticket.
//
// Shows processes that share what is in memory: the number of tickets, and a lock that a process which is killed does not keep.  The first buyer is killed
// while it has the lock: the next one is told so, and goes on.  In Python, a lock whose holder is killed stays taken for ever.
//
//     swift run Tickets

import CourseKit
import Glibc
import GreenNet

@main struct Tickets {
    static let buyers = 100

    static func main() {
        orEnd {
            let (lock, tickets) = (try SharedLock(), try SharedValue(1))
            let victim = try ForkedChild { try lock.withLock { _ in try dieWithTheLock() } }
            try victim.wait()
            let children = try (1...buyers).map { _ in try ForkedChild { try buy(lock, tickets) } }
            let exits = try children.map { try $0.wait(until: .after(.seconds(60))) }
            say("bought: \(exits.count { $0 == .status(0) })")
            say("not bought: \(exits.count { $0 == .status(1) })")
            say("left: \(tickets.load())")
        }
    }

    /// Status 0: this buyer has the ticket.
    static func buy(_ lock: SharedLock, _ tickets: SharedValue<Int>) throws -> Int32 {
        try lock.withLock { previous in
            if case .died = previous { say("a buyer died with the lock, and the others go on") }
            let left = tickets.load()
            // Long enough for others to look, if the lock let them.
            try Greenlet.sleep(for: .milliseconds(1))
            guard left > 0 else { return 1 }
            tickets.store(left - 1)
            return 0
        }
    }

    static func dieWithTheLock() throws -> Int32 {
        kill(getpid(), SIGKILL)
        try Greenlet.sleep(until: .never)
        return 0
    }
}
