import Glibc

/// One of the small services of inetd, which an echo service is among.
enum SmallService: String, CaseIterable, Sendable {
    /// RFC 862: what came goes back, changed by the transform.
    case echo
    /// RFC 863: what came is dropped.
    case discard
    /// RFC 864: lines of characters, for as long as the client takes them.
    case chargen
    /// RFC 867: the date and the time as text.
    case daytime
    /// RFC 868: the time as a number.
    case time

    static let names = "echo, discard, chargen, daytime or time"

    /// What is sent where one answer is all; nil for the others.
    func answer(at now: time_t = Glibc.time(nil)) -> [UInt8]? {
        switch self {
        case .echo, .discard, .chargen: nil
        case .daytime: DayTime.text(now)
        case .time: withUnsafeBytes(of: UInt32(truncatingIfNeeded: now + secondsFrom1900To1970).bigEndian) { Array($0) }
        }
    }
}

private let secondsFrom1900To1970 = 2_208_988_800

/// The date and the time in UTC, as in the first example of RFC 867: `Monday, November 30, 2026 19:18:15-UTC`.
private enum DayTime {
    static func text(_ now: time_t) -> [UInt8] {
        var (now, parts) = (now, tm())
        gmtime_r(&now, &parts)
        return [UInt8](unsafeUninitializedCapacity: 64) { buffer, count in
            count = buffer.withMemoryRebound(to: CChar.self) {
                strftime($0.baseAddress!, $0.count, "%A, %B %d, %Y %H:%M:%S-UTC\r\n", &parts)
            }
        }
    }
}

/// The lines of RFC 864: 72 of the 95 printable characters each, which move on by one from line to line.
enum CharacterGenerator {
    /// All lines before they repeat.
    static let lines: [UInt8] = (0..<95).flatMap { first in
        (0..<72).map { UInt8(32 + (first + $0) % 95) } + [UInt8(ascii: "\r"), UInt8(ascii: "\n")]
    }

    /// The first `count` bytes.
    static func bytes(_ count: Int) -> [UInt8] { (0..<count).map { lines[$0 % lines.count] } }
}
