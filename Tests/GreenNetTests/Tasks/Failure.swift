/// An error for test bodies to throw.
struct Failure: Error, Equatable, CustomStringConvertible {
    let number: Int

    init(_ number: Int) { self.number = number }

    var description: String { "Failure(\(number))" }
}

/// An error with an identity.
final class FailureObject: Error {}
