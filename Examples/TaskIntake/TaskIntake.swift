// A worker that takes tasks from Redis: start it on several machines, and they share the work.
//
// Shows a stream with a consumer group.  Each task (fields `job` and `seconds`) goes to one worker; what a worker that has crashed had begun, the others
// take over; TERM lets the tasks under way finish.  `hiredis` in the place of `own` talks to Redis by the C library, whose blocking calls park on GreenPatch.
// The course's program in Python polls a list, and loses the tasks of a worker that crashes.
//
//     swift run TaskIntake 127.0.0.1 6379
//     redis-cli XADD tasks '*' job 1 seconds 5

import CourseKit
import Glibc
import GreenNet
import GreenPatch

@main struct TaskIntake {
    static func main() {
        let words = arguments(2...4, usage: "TaskIntake HOST PORT [own|hiredis [MILLISECONDS-OF-SILENCE]]")
        let (host, port) = (words[0], number(words[1], "PORT", in: 1...65535))
        let client = words.count > 2 ? words[2] : "own"
        guard client == "own" || client == "hiredis" else {
            end(EX_USAGE, "the client is \(client.debugDescription): expected own or hiredis")
        }
        let silence = number(words.count > 3 ? words[3] : "5000", "MILLISECONDS-OF-SILENCE", in: 100...3_600_000)
        orEnd {
            if client == "hiredis" {
                // The hub for which it is installed.
                _ = Hub.current
                try GreenPatch.install(main: true)
            }
            let connect: () throws -> any RedisCaller = {
                if client == "hiredis" { return try Hiredis(host, port) }
                return try Redis(host, UInt16(port))
            }
            let intake = Intake(try connect(), try connect(), silence: .milliseconds(silence))
            spawn(name: "signals") {
                _ = try SignalWatcher(SIGINT, SIGTERM).wait()
                say("takes no more tasks")
                intake.stop()
            }
            try intake.run()
        }
    }
}

extension Redis: RedisCaller {
    convenience init(_ host: String, _ port: UInt16) throws {
        self.init(try Connection.connect(toHost: host, port: port, until: .after(.seconds(5))))
    }
}
