import ArgumentParser
import ProgramKit

/// How often and for how long is measured.
extension ParsableCommand {
    /// Throws a complaint about an option whose value is below the least that it may have.
    func check(_ name: String, _ value: Double, atLeast least: Double = 1) throws {
        guard value >= least else {
            throw ValidationError("--\(name) must be \(least.optionText) or more, not \(value.optionText)")
        }
    }
}
