import GreenNet

/// Values as JSON has them, for reports.
package indirect enum JSON {
    case object([(String, JSON)])
    case array([JSON])
    case string(String)
    case number(Double)
    case integer(Int)
    case bool(Bool)
    case null

    package static func optional(_ number: Double?) -> JSON { number.map { .number($0) } ?? .null }
}

extension JSON: CustomStringConvertible {
    /// In one line.
    package var description: String {
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

    private static func quoted(_ text: String) -> String {
        var bytes: [UInt8] = []
        bytes.append(text, .json)
        return "\"" + String(decoding: bytes, as: UTF8.self) + "\""
    }
}
