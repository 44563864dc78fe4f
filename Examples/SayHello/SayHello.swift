// Hundreds of clients at once: each says hello ten times and compares the answers.
//
// Shows that a green thread for each connection is cheap, and that the code of one stays a plain loop.  Numbers that all of them change need no lock: a
// green thread runs until it waits.  The course's program in Python has 500 OS threads, never ends, and compares nothing.
//
//     swift run UppercaseServer 8080          # in another terminal
//     swift run SayHello 8080

import CourseKit
import Glibc
import GreenNet

@main struct SayHello {
    static let rounds = 10

    static func main() {
        let words = arguments(1...2, usage: "SayHello PORT [CLIENTS]")
        let port = UInt16(number(words[0], "PORT", in: 1...65535))
        let clients = number(words.count == 2 ? words[1] : "500", "CLIENTS", in: 1...10_000)
        var (answers, wrong) = (0, 0)
        let start = Deadline.now
        // The first failure ends the program; those at the same moment say the same.
        Hub.current.onUnobservedFailure = { _ in }
        orEnd {
            try withGreenGroup { group in
                for client in 1...clients {
                    group.spawn {
                        for isRight in try sayHello("Thread-\(client)", port) {
                            answers += 1
                            if !isRight { wrong += 1 }
                        }
                    }
                }
            }
        }
        let seconds = (Deadline.now - start).inSeconds
        say("\(answers) answers in \(seconds) s")
        say("\(grouped(answers)) answers, \(wrong) wrong")
        exit(wrong == 0 ? EX_OK : EX_PROTOCOL)
    }

    /// Whether each answer is what was sent, in capitals.
    static func sayHello(_ name: String, _ port: UInt16) throws -> [Bool] {
        let server = try Connection.connect(to: .loopback(port: port), until: .after(.seconds(10)))
        defer { server.close() }
        return try (1...rounds).map { round in
            let text = "\(name) say hello \(round)"
            try server.sendAll(text)
            // An answer may come in pieces: as many bytes are received as were sent.
            let answer = try server.receive(exactly: text.utf8.count, until: .after(.seconds(10)))
            return answer == Array(text.uppercased().utf8)
        }
    }

    /// 5000 as 5,000.
    static func grouped(_ number: Int) -> String {
        number < 1000 ? "\(number)" : grouped(number / 1000) + "," + "\(1000 + number % 1000)".dropFirst()
    }
}
