/// Search for a text in a text, by bytes.  What the standard library has for it brings its regular expressions, which are 1 MB of a program that has
/// Swift's libraries inside.
extension StringProtocol {
    /// What lies between the places where `separator` is, empty texts included; the whole text where it is nowhere.  `separator` is not empty.
    package func pieces(between separator: String) -> [String] {
        require(!separator.isEmpty, "an empty separator is everywhere")
        let (text, mark) = (Array(utf8), Array(separator.utf8))
        var (pieces, start, place) = ([String](), 0, 0)
        while place + mark.count <= text.count {
            if text[place...].starts(with: mark) {
                pieces.append(String(decoding: text[start..<place], as: UTF8.self))
                place += mark.count
                start = place
            } else {
                place += 1
            }
        }
        return pieces + [String(decoding: text[start...], as: UTF8.self)]
    }

    /// Whether `part`, which is not empty, is in the text.
    package func holds(_ part: String) -> Bool { pieces(between: part).count > 1 }

    /// The text with `other` wherever it has `part`, which is not empty.
    package func exchanging(_ part: String, for other: String) -> String {
        pieces(between: part).joined(separator: other)
    }
}
