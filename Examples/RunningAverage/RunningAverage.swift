// A running average, and a range that can be told to jump.
//
// Shows generators that are sent values: `send` makes `yield` return what was sent, and gives the next value that the generator yields.  A
// `ReturningGenerator` also returns a value at its end, to the generator that delegates to it.
//
//     swift run RunningAverage

import CourseKit
import GreenNet

@main struct RunningAverage {
    static func main() {
        orEnd {
            try average()
            try jump()
        }
    }

    struct Total {
        var (count, sum) = (0, 0.0)
    }

    /// Gives the average of what it was sent so far, until it is sent nil.
    static func averages() -> ReturningGenerator<Double, Double?, Total> {
        ReturningGenerator { out in
            var total = Total()
            var average = 0.0
            while let number = try out.yield(average) ?? nil {
                total.count += 1
                total.sum += number
                average = total.sum / Double(total.count)
            }
            return total
        }
    }

    static func average() throws {
        let numbers = Generator<Double, Double?> { out in
            while true {
                let total: Total = try out.yield(from: averages())
                say("\(total.count) values, sum \(total.sum), average \(total.sum / Double(total.count))")
            }
        }
        _ = try numbers.next()
        for number in [10.0, 20.0, 30.0] { say("\(try numbers.send(number)!)") }
        // The delegate ends; the next `send` is for a new one.
        _ = try numbers.send(nil)
    }

    /// 0, 1, 2, ... below `limit`; what it is sent is the next step.
    static func jumpingRange(_ limit: Int) -> Generator<Int, Int> {
        Generator { out in
            var index = 0
            while index < limit { index += try out.yield(index) ?? 1 }
        }
    }

    static func jump() throws {
        let numbers = jumpingRange(5)
        let seen = [try numbers.next(), try numbers.send(2), try numbers.next(), try numbers.send(-1)]
        say(seen.map { "\($0!)" }.joined(separator: " "))
    }
}
