// What swift-argument-parser uses of FoundationEssentials, for the installed programs: `Scripts/build-dist.sh` compiles and links this in place of the
// toolchain's module.  That module, with the modules that it needs, is 6 of the 18 MB of an installed program, and it brings 1,200 of the 4,200 conformances that
// Swift's runtime goes through for each type that the parser meets first.
//
// The parser asks each error whether it is a `LocalizedError`, which none of ours is, and encodes a description of all options as JSON for its own
// option --experimental-dump-help, which other builds have.

// swift-format-ignore-file: AllPublicDeclarationsHaveDocumentation

import Glibc

public protocol LocalizedError: Error {
    var errorDescription: String? { get }
}

public final class JSONEncoder {
    public struct OutputFormatting: OptionSet, Sendable {
        public let rawValue: UInt

        public init(rawValue: UInt) { self.rawValue = rawValue }

        public static let prettyPrinted = OutputFormatting(rawValue: 1)
        public static let sortedKeys = OutputFormatting(rawValue: 2)
    }

    public var outputFormatting: OutputFormatting = []

    public init() {}

    /// Ends the program with a message.  The parser takes an error here for an empty text, and would print that with exit status 0.
    public func encode(_ value: some Encodable) throws -> Data {
        var text = "this build has no JSON encoder for --experimental-dump-help\n"
        text.withUTF8 { bytes in _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
        exit(EX_UNAVAILABLE)
    }
}

/// Never made: `encode` does not return.
public enum Data {}

public enum TextEncoding { case utf8 }

extension String {
    public init?(data: Data, encoding: TextEncoding) {
        switch data {}
    }
}
