// Traffic lights that change every ten seconds, cars that wait for green, and police cars that wait for a second.
//
// Shows `GreenEvent`: `set` lets all go who wait, `clear` stops the next ones, and a wait with a deadline returns whether the event was set.  The clock
// is virtual, so that a minute takes milliseconds.
//
//     swift run TrafficLights

import CourseKit
import GreenNet

@main struct TrafficLights {
    static func main() {
        Hub.startVirtual()
        orEnd { try Crossing().run() }
    }
}

struct Crossing {
    let green = GreenEvent()
    let start = Deadline.now

    /// A police car comes every 5 seconds, another car every 2 seconds.
    func run() throws {
        let lights = spawn(name: "lights", change)
        try withGreenGroup { group in
            for number in 1...5 {
                group.spawn { try drive("police car \(number)", after: 5 * number - 2, patience: .seconds(1)) }
            }
            for number in 1...10 { group.spawn { try drive("car \(number)", after: 2 * number) } }
        }
        lights.kill()
        try lights.join()
    }

    func change() throws {
        while true {
            say("\(time): red")
            green.clear()
            try Greenlet.sleep(for: .seconds(10))
            say("\(time): green")
            green.set()
            try Greenlet.sleep(for: .seconds(10))
        }
    }

    /// Without `patience` it waits as long as it takes.
    func drive(_ name: String, after seconds: Int, patience: Duration? = nil) throws {
        try Greenlet.sleep(for: .seconds(seconds))
        let came = Deadline.now
        let isGreen = try green.wait(until: patience.map { .after($0) } ?? .never)
        let waited = Int((Deadline.now - came).inSeconds)
        say("\(time): \(name) goes on \(isGreen ? "green" : "red") after \(waited) s")
    }

    var time: String { "\(Int((Deadline.now - start).inSeconds)) s" }
}
