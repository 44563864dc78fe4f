/// Stops the program because of an error in it, with `message` and the place of the check on standard error.
///
/// In release builds too: `precondition` drops its message under -O, and traps without a word.
@inline(never)
@usableFromInline
package func programmingError(_ message: String, file: StaticString = #fileID, line: UInt = #line) -> Never {
    fatalError(message, file: file, line: line)
}

/// Stops the program with `message` if `condition` is false: for the obligations of a public function's caller.
///
/// The message is made only then.
@inlinable
@inline(__always)
package func require(
    _ condition: Bool, _ message: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) {
    guard _fastPath(condition) else { programmingError(message(), file: file, line: line) }
}
