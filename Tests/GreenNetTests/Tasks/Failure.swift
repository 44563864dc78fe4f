/// What test bodies throw.
struct Failure: Error, Equatable, CustomStringConvertible {
    let number: Int

    init(_ number: Int) { self.number = number }

    var description: String { "Failure(\(number))" }
}

/// One that is itself and no other.
final class FailureObject: Error {}
