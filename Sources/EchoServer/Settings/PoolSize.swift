import GreenNet
import ProgramKit

/// How many contexts a pool has: as many as ever, or more when all are busy, and fewer when some have been idle for a while.
struct PoolSize: Equatable, Sendable {
    let least: Int
    let most: Int

    /// Idle contexts beyond the least end after this time.
    static let idleTime = Duration.seconds(10)

    static let rule = "\(NumericOptions.Server.poolSize.rule), or two such as in 4...64"
    private static let dots = "..."

    init(_ size: Int) { self.init(least: size, most: size) }

    init(least: Int, most: Int) { (self.least, self.most) = (least, most) }

    /// As in `8` or `4...64`.  Nil for anything else, and where the first number is the larger one.
    init?(parsing text: String) {
        let numbers = text.pieces(between: PoolSize.dots).map {
            NumericOptions.Server.poolSize.value(of: $0)
        }
        guard 1...2 ~= numbers.count, let least = numbers[0], let most = numbers[numbers.count - 1], least <= most
        else {
            return nil
        }
        self.init(least: least, most: most)
    }

    var changes: Bool { least < most }
}

extension PoolSize: CustomStringConvertible {
    var description: String { changes ? "\(least)\(PoolSize.dots)\(most)" : "\(most)" }
}
