import Testing

extension ExitTest.Result {
    /// The child's standard error, if the test asked for it.
    var standardError: String { String(decoding: standardErrorContent, as: UTF8.self) }
}

/// Expects the message of a programming error that stopped a child: in release builds too.
func expectProgrammingError(
    _ message: String, in result: ExitTest.Result, sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(result.standardError.contains(message), sourceLocation: sourceLocation)
}
