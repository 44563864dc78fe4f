import ArgumentParser
import ProgramKit

extension NumericOption {
    /// The number that was given for it.  Throws what ArgumentParser prints as an invalid option.
    func number(in text: String) throws -> Number {
        try NumericOption.asUsageError { () throws(OptionComplaint) in try checked(text) }
    }

    /// Nil where none was given.
    func number(ifIn text: String?) throws -> Number? { try text.map { try number(in: $0) } }

    /// Numbers separated by commas.
    func numbers(in text: String) throws -> [Number] {
        try NumericOption.asUsageError { () throws(OptionComplaint) in try values(of: text) }
    }

    private static func asUsageError<Value>(_ body: () throws(OptionComplaint) -> Value) throws -> Value {
        do { return try body() } catch { throw ValidationError(error.description) }
    }
}
