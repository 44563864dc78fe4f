// Workers that begin when a service can be reached, which one of them looks for.
//
// Shows `GreenEvent` as a gate: one green thread tries to connect, with longer and longer pauses, the others wait for it without a look of their own.
// Ends with status 69 (EX_UNAVAILABLE) where the service is not there within ten seconds.
//
//     swift run StartupGate 127.0.0.1 6379

import CourseKit
import Glibc
import GreenNet

@main struct StartupGate {
    static let limit = Duration.seconds(10)

    static func main() {
        let words = arguments(2...2, usage: "StartupGate HOST PORT")
        let (host, port) = (words[0], UInt16(number(words[1], "PORT", in: 1...65535)))
        let isThere = GreenEvent()
        orEnd {
            try withGreenGroup { group in
                for number in 1...3 {
                    group.spawn {
                        try isThere.wait()
                        say("worker \(number) begins")
                    }
                }
                do { try withTimeout(limit) { try find(host, port) } } catch is TimedOut {
                    end(EX_UNAVAILABLE, "\(host):\(port) is not there after \(limit)")
                }
                isThere.set()
            }
        }
    }

    static func find(_ host: String, _ port: UInt16) throws {
        var pause = Duration.milliseconds(50)
        for attempt in 1... {
            do {
                try Connection.connect(toHost: host, port: port).close()
                return say("\(host):\(port) is there at attempt \(attempt)")
            } catch  where error.isTimeout || error.isCancellation {
                throw error
            } catch {
                say("attempt \(attempt): \(error)")
            }
            try Greenlet.sleep(for: pause)
            pause = min(pause * 2, .seconds(1))
        }
    }
}
