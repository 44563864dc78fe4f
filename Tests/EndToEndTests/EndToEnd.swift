import Glibc
import GreenNet
import TestSupport
import Testing

/// The built programs, driven from outside: by their arguments, their sockets, and signals.
///
/// The suites run one after the other, since they measure processor time and memory, and share two processors.
@Suite(.serialized) enum EndToEnd {}

/// Long runs happen only if the environment asks for them.
let isLongRun = getenv("GREENNET_LONG_TESTS") != nil

/// The error of a test that got something unexpected.
struct Unexpected: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

extension Duration {
    /// `seconds`, and more where a sanitizer slows everything down.
    static func patient(_ seconds: Double) -> Duration { .seconds(seconds) * Sanitizer.slowness }
}
