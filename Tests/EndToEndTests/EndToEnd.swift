import Glibc
import GreenNet
import TestSupport
import Testing

/// The built programs, driven from outside: by their arguments, their sockets, and signals.
///
/// One after the other, for they look at processor time and memory, and share two processors.
@Suite(.serialized) enum EndToEnd {}

/// Runs that take long are for those who ask for them.
let isLongRun = getenv("GREENNET_LONG_TESTS") != nil

/// Something else has come than was expected.
struct Unexpected: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

extension Duration {
    /// `seconds`, and more where a sanitizer slows everything down.
    static func patient(_ seconds: Double) -> Duration { .seconds(seconds) * Sanitizer.slowness }
}
