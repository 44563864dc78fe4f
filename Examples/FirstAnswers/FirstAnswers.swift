// The first of ten answers, those that come within a second, and the rest; and nine waits one after the other beside ten at once.
//
// Shows `joinAll` with a count and with a deadline, which kills nothing: a later call waits on for the same green threads.  Shows also the virtual clock:
// on it, time passes only while all wait, so that seconds take microseconds.
//
//     swift run FirstAnswers

import CourseKit
import GreenNet

@main struct FirstAnswers {
    static func main() {
        Hub.startVirtual()
        orEnd {
            try firstAnswers()
            try oneAfterTheOther()
            try allAtOnce()
        }
    }

    static func firstAnswers() throws {
        // The answers take 0.5, 1.0, 1.1, 1.2, 1.4, 3.0, 3.5, 4.0, 4.5 and 5.0 seconds.
        let lengths = [500, 1000, 1100, 1200, 1400, 3000, 3500, 4000, 4500, 5000].map { Duration.milliseconds($0) }
        let answers = lengths.map { length in spawn { try Greenlet.sleep(for: length) } }
        try say("first: \(joinAll(answers, count: 1).count)")
        try say("within a second: \(joinAll(answers.filter { !$0.hasEnded }, until: .after(.seconds(1))).count)")
        try say("the rest: \(joinAll(answers.filter { !$0.hasEnded }).count)")
    }

    static func oneAfterTheOther() throws {
        let start = Deadline.now
        for task in 1...9 {
            try Greenlet.sleep(for: .milliseconds(500))
            say("Task \(task) done")
        }
        say("one after the other: \((Deadline.now - start).inSeconds) s")
    }

    static func allAtOnce() throws {
        let start = Deadline.now
        try joinAll((1...10).map { _ in spawn { try Greenlet.sleep(for: .milliseconds(500)) } })
        say("all at once: \((Deadline.now - start).inSeconds) s")
    }
}
