/// The ways to make untrusted text harmless in a line.
///
/// Control characters are always replaced: those that end a line, that control a terminal, or that change the direction of writing.
package enum Escaping {
    /// Free text.
    case plain
    /// Between quotation marks.
    case quoted
    /// Between the quotation marks of JSON.
    case json
    /// For the journal, which can keep ends of lines and tabs: these stay.
    case lines

    /// Nil if the character may stay.
    fileprivate func replacement(for character: Unicode.Scalar) -> String? {
        switch (character, self) {
        case ("\"", .quoted), ("\"", .json): "\\\""
        case ("\\", .quoted), ("\\", .json): "\\\\"
        case ("\n", .lines), ("\t", .lines): nil
        case ("\n", _): "\\n"
        case ("\r", _): "\\r"
        case ("\t", _): "\\t"
        default: character.isControl ? code(of: character) : nil
        }
    }

    private func code(of character: Unicode.Scalar) -> String {
        let digits = String(character.value, radix: 16)
        guard case .json = self else { return "\\u{\(digits)}" }
        // No control character lies above U+FFFF, where JSON needs two escapes.
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }
}

extension Unicode.Scalar {
    package var isControl: Bool {
        switch value {
        case 0..<0x20, 0x7f..<0xa0: true  // C0, DEL, C1
        case 0x61c, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069: true  // directions, separators of lines
        case 0xfeff: true  // readers drop it
        default: false
        }
    }
}

extension [UInt8] {
    package mutating func append(_ text: String) { append(contentsOf: text.utf8) }

    /// Cut after about `limit` bytes, never inside a character.
    package mutating func append(_ text: String, _ escaping: Escaping, limit: Int = .max) {
        let start = count
        for character in text.unicodeScalars {
            if count - start >= limit { return append("…") }
            if let replacement = escaping.replacement(for: character) {
                append(replacement)
            } else {
                append(contentsOf: UTF8.encode(character)!)
            }
        }
    }
}

extension String {
    /// For a line on a terminal: control characters are shown as `\n` or `\u{1b}`.
    package var escaped: String {
        guard unicodeScalars.contains(where: \.isControl) else { return self }
        var bytes: [UInt8] = []
        bytes.append(self, .plain)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Nil if the bytes are not UTF-8.
    package init?(utf8 bytes: some Sequence<UInt8>) { self.init(validating: bytes, as: UTF8.self) }

    /// For a message about bytes that may not be UTF-8: invalid bytes are shown as `\xff`.
    package init(showing bytes: some Sequence<UInt8>) {
        let bytes = Array(bytes)
        var (rest, place, text) = (bytes.makeIterator(), 0, "")
        var parser = Unicode.UTF8.ForwardParser()
        while true {
            switch parser.parseScalar(from: &rest) {
            case .emptyInput:
                self = text
                return
            case .valid(let encoded):
                text.unicodeScalars.append(Unicode.UTF8.decode(encoded))
                place += encoded.count
            case .error(let length):
                for byte in bytes[place..<place + length] {
                    text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
                }
                place += length
            }
        }
    }
}
