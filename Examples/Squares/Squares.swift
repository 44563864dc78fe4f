// Ten squares, computed by five OS threads, and fifty calls by ten, each of which tells when it has ended.
//
// Shows `OffloadPool`: `map` gives its values in the order of the list and runs on all cores; `submit` returns at once, and `onEnd` runs on a green thread of the
// caller's hub, where it may wait.  In Python, threads share one core, and what a callback throws is logged or lost.
//
//     swift run Squares

import CourseKit
import GreenNet
import Synchronization

@main struct Squares {
    static func main() {
        orEnd {
            try squares()
            try callbacks()
        }
    }

    static func squares() throws {
        let running = Atomic(0)
        let most = Atomic(0)
        let squares = try withOffloadPool(limit: 5) { pool in
            try pool.map(0..<10) { number in
                let now = running.add(1, ordering: .relaxed).newValue
                most.max(now, ordering: .relaxed)
                defer { running.subtract(1, ordering: .relaxed) }
                return number * number
            }
        }
        say("\(squares)")
        say("never more than five at a time: \(most.load(ordering: .relaxed) <= 5)")
    }

    /// Each call takes a number, and its callback gets the number plus 100.
    static func callbacks() throws {
        var (results, failures): ([Int], Int) = ([], 0)
        try withOffloadPool(limit: 10) { pool in
            let calls = try (0..<50).map { number in
                let call = try pool.submit { try number == 13 ? fail(number) : number + 100 }
                call.onEnd { result in
                    // A callback that waits holds up no other.
                    try Greenlet.sleep(for: .milliseconds(1))
                    switch result {
                    case .success(let value): results.append(value)
                    case .failure: failures += 1
                    }
                }
                return call
            }
            try joinAll(calls)
        }
        try Hub.current.run()
        say("\(results.count) callbacks, from \(results.min()!) to \(results.max()!), and \(failures) failure")
    }

    struct Unlucky: Error { let number: Int }

    static func fail(_ number: Int) throws -> Int { throw Unlucky(number: number) }
}
