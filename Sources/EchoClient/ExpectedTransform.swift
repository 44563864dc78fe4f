import ArgumentParser

/// What a service is expected to do with what it is sent.
enum ExpectedTransform: String, ExpressibleByArgument, CaseIterable {
    case upper, echo, lower, rot13, reverse, discard, whoami, any

    func explains(_ answer: [UInt8], to question: [UInt8]) -> Bool {
        switch self {
        case .upper, .echo, .lower, .rot13: answer == question.map { changed($0) }
        case .reverse: answer == ExpectedTransform.reversed(question)
        case .discard, .whoami: false
        case .any: answer == question || answer == question.map(\.uppercased)
        }
    }

    /// Whether the service answers each byte by one, whatever the bytes around it.
    var isByteByByte: Bool { [.upper, .echo, .lower, .rot13].contains(self) }

    /// What the service makes of one byte, where it answers byte by byte.
    func changed(_ byte: UInt8) -> UInt8 {
        switch self {
        case .upper: byte.uppercased
        case .lower: byte.lowercased
        case .rot13: byte.rotated
        case .echo, .reverse, .discard, .whoami, .any: byte
        }
    }

    /// Of one line of UTF-8, whose end stays where it is.
    private static func reversed(_ line: [UInt8]) -> [UInt8] {
        Array(String(String(decoding: line.dropLast(), as: UTF8.self).reversed()).utf8) + line.suffix(1)
    }

    /// Throws for one of which the answer can't be compared, in words for the command line.
    func checkAnswers() throws {
        switch self {
        case .discard:
            throw ValidationError("--transform discard: the service answers nothing, so there is nothing to compare")
        case .whoami:
            throw ValidationError(
                "--transform whoami: the answer is another one for each connection, so there is nothing to compare it with"
            )
        case .upper, .echo, .lower, .rot13, .reverse, .any: return
        }
    }
}

extension UInt8 {
    /// Only ASCII letters have another case.
    var uppercased: UInt8 { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self) ? self - 32 : self }
    fileprivate var lowercased: UInt8 { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) ? self + 32 : self }

    /// A letter 13 places on, in its own case.
    fileprivate var rotated: UInt8 {
        switch uppercased {
        case UInt8(ascii: "A")...UInt8(ascii: "M"): self + 13
        case UInt8(ascii: "N")...UInt8(ascii: "Z"): self - 13
        default: self
        }
    }
}
