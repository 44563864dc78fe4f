import Testing

extension ExitTest.Result {
    /// What the child wrote there, where the test asked for it.
    var standardError: String { String(decoding: standardErrorContent, as: UTF8.self) }
}

/// Expects the message of a precondition that stopped a child.  Only debug builds have a text there; others just stop.
func expectPrecondition(
    _ message: String, in result: ExitTest.Result, sourceLocation: SourceLocation = #_sourceLocation
) {
    #if DEBUG
    #expect(result.standardError.contains(message), sourceLocation: sourceLocation)
    #endif
}
