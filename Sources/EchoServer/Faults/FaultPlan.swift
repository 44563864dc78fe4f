import GreenNet
import ProgramKit

/// What is done to one connection on purpose.
struct FaultPlan: Equatable, Sendable {
    /// How long each answer waits.
    var delay: Duration?
    /// Up to how much longer, at random.
    var jitter: Duration?
    /// Bytes of answers a second.
    var bandwidth: Int?
    /// When the connection is reset.
    var resetAfter: Limit?
    /// When the connection is closed in order.
    var closeAfter: Limit?
    /// How many bytes of answers the client gets before their end; the client's own bytes are still received.
    var truncate: Int?
    /// The probability with which each byte of an answer has one bit turned.
    var corrupt: Double?
    /// Nothing is received and nothing is sent.
    var stalls = false
    /// The probability with which the connection is reset at once.
    var refuse: Double?

    /// A number of bytes that were sent, or a time from the begin of the connection.
    enum Limit: Equatable, Sendable {
        case bytes(Int)
        case time(Duration)
    }

    static let none = FaultPlan()
}

extension FaultPlan.Limit: CustomStringConvertible {
    static let rule = "\(ByteAmount.rule); or a time such as 0.3s, \(NumericOptions.Server.faultDelay.span) seconds"

    /// Bytes, or with an `s` behind it a time.
    init?(_ text: String) {
        if text.hasSuffix("s") {
            guard let time = NumericOptions.Server.faultDelay.value(of: String(text.dropLast())), time != .zero else {
                return nil
            }
            self = .time(time)
        } else {
            guard let bytes = ByteAmount.value(of: text) else { return nil }
            self = .bytes(bytes)
        }
    }

    var description: String {
        switch self {
        case .bytes(let count): "\(count)"
        case .time(let time): time.optionText + "s"
        }
    }

    var bytes: Int? { if case .bytes(let count) = self { count } else { nil } }
    var time: Duration? { if case .time(let time) = self { time } else { nil } }
}
