import GreenNet

/// One connection under load, in raw memory: green threads park while they work on it.
struct Line {
    /// Among all of all processes.
    let number: Int
    /// Where in the text it begins.
    var place: Int
    /// Messages that it may ask for while it is measured.
    let quota: Int
    /// In bytes, since it was opened.
    var sent = 0
    var received = 0
    /// In messages, while it is measured.
    var asked = 0
    var answered = 0
    /// Bytes that have come of the first message that is not answered in full.
    var partial = 0
    /// Since when it has been waiting for bytes that it is owed; `Int64.max` while it is owed none.
    var waitsSince = Int64.max
    /// A green thread sends what was asked and did not fit in at once.
    var isCatchingUp = false
    /// Closed by the watchdog: it waited for too long.
    var isTimedOut = false
    var isOver = false

    init(number: Int, quota: Int) {
        (self.number, self.quota) = (number, quota)
        place = Line.place(of: number)
    }

    static func place(of number: Int) -> Int { number * 1009 % LoadText.period }
}

typealias LinePointer = UnsafeMutablePointer<Line>
