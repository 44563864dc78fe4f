// Two green threads that take two locks in opposite orders, as the classic deadlock has it; and ten that do it right.
//
// Shows that `GreenLock` finds a ring of waits when it closes: the call that would close it throws, with the names, and the others go on.  `withLocks`
// takes several locks in one order, however they are listed, so that no ring can form.  In Python, both threads wait for ever, and nothing says so.
//
//     swift run Deadlock

import CourseKit
import GreenNet

@main struct Deadlock {
    static func main() {
        let (a, b) = (GreenLock(), GreenLock())
        orEnd {
            let one = spawn(name: "one") { try take(a, "A", then: b, "B") }
            let two = spawn(name: "two") { try take(b, "B", then: a, "A") }
            try joinAll([one, two])
            for greenThread in [one, two] {
                do { try greenThread.value() } catch { say("\(error)") }
            }
            try withBoth(a, b)
        }
    }

    static func take(_ first: GreenLock, _ firstName: String, then second: GreenLock, _ secondName: String) throws {
        let name = Greenlet.current.name ?? ""
        try first.withLock {
            say("\(name) has \(firstName)")
            // Now the other one takes its first lock.
            try Greenlet.yield()
            try second.withLock { say("\(name) has \(firstName) and \(secondName)") }
        }
    }

    /// Half of them name the locks the other way round.
    static func withBoth(_ a: GreenLock, _ b: GreenLock) throws {
        var ends = 0
        try withGreenGroup { group in
            for number in 0..<10 {
                let (first, second) = number.isMultiple(of: 2) ? (a, b) : (b, a)
                group.spawn {
                    try withLocks(first, second) {
                        try Greenlet.yield()
                        ends += 1
                    }
                }
            }
        }
        say("\(ends) had both locks")
    }
}
