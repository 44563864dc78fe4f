/// Stops the program, which uses the library wrongly, with `message` and the place of the check on standard error.
///
/// In release builds too: `precondition` drops its message under -O, and what is left is a trap without a word.
@inline(never)
package func programmingError(_ message: String, file: StaticString = #fileID, line: UInt = #line) -> Never {
    fatalError(message, file: file, line: line)
}

/// Stops the program with `message` where `condition` does not hold: for what the caller of a public function has to see to.
///
/// The message is made only then.
@inline(__always)
package func require(
    _ condition: Bool, _ message: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) {
    guard _fastPath(condition) else { programmingError(message(), file: file, line: line) }
}
