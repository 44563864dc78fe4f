/// Values as JSON has them, for reports.
indirect enum JSON {
    case object([(String, JSON)])
    case array([JSON])
    case string(String)
    case number(Double)
    case integer(Int)
    case bool(Bool)
    case null

    static func optional(_ number: Double?) -> JSON { number.map { .number($0) } ?? .null }
}

extension JSON: CustomStringConvertible {
    /// In one line.
    var description: String {
        switch self {
        case .object(let members): "{" + members.map { "\(JSON.quoted($0)):\($1)" }.joined(separator: ",") + "}"
        case .array(let elements): "[" + elements.map(\.description).joined(separator: ",") + "]"
        case .string(let text): JSON.quoted(text)
        case .number(let number): number.isFinite ? "\(number)" : "null"
        case .integer(let number): "\(number)"
        case .bool(let truth): "\(truth)"
        case .null: "null"
        }
    }

    private static func quoted(_ text: String) -> String { "\"" + text.unicodeScalars.map(escaped).joined() + "\"" }

    /// `<` too, so that the text may stand in a page's script.
    private static func escaped(_ scalar: Unicode.Scalar) -> String {
        guard scalar.value < 0x20 || "\"\\<".unicodeScalars.contains(scalar) else { return String(scalar) }
        let digits = String(scalar.value, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }
}
