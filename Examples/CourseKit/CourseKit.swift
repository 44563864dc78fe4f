// What the examples share, so that each of them shows its own subject: a line on standard error and an exit status of `sysexits.h` for what a user does wrong.

import Glibc
import GreenNet

/// The program's arguments, without its name.  Ends the program with `usage` where there are fewer or more than `counts` says.
public func arguments(_ counts: ClosedRange<Int>, usage: String) -> [String] {
    let words = Array(CommandLine.arguments.dropFirst())
    guard counts.contains(words.count) else { end(EX_USAGE, "usage: \(usage)") }
    return words
}

/// A number in `range`.  Ends the program where `word` is none.
public func number(_ word: String, _ name: String, in range: ClosedRange<Int>) -> Int {
    guard let number = Int(word), range.contains(number) else {
        end(
            EX_USAGE,
            "\(name) is \(word.debugDescription): expected a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
}

/// Runs `body`; ends the program with `status` and the error in words where it throws.
public func orEnd<Value>(_ status: Int32 = EX_UNAVAILABLE, _ body: () throws -> Value) -> Value {
    do { return try body() } catch { end(status, "\(error)") }
}

/// Ends the program with a line on standard error.
public func end(_ status: Int32, _ text: String) -> Never {
    complain(text)
    exit(status)
}

/// Writes a line to standard error.
public func complain(_ text: String) {
    let line = Array("\(text)\n".utf8)
    _ = write(STDERR_FILENO, line, line.count)
}

/// Prints a line, at once: also where standard output is a pipe.
public func say(_ text: String) {
    print(text)
    fflush(nil)
}

extension Duration {
    /// In seconds, as a number to print.
    public var inSeconds: Double { self / .seconds(1) }
}
