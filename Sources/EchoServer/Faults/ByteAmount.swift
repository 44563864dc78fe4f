/// A number of bytes as people write it: `1000`, `1K`, `64Ki`.
///
/// K, M and G stand for thousands; Ki, Mi and Gi for steps of 1,024.
enum ByteAmount {
    /// A terabyte: more than a connection of a test carries, and sums still fit into 64 bits.
    static let largest = 1_000_000_000_000

    static let rule = "bytes, 0 to \(largest), with K, M, G, Ki, Mi or Gi for larger units"

    private static let units = [
        ("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("K", 1000), ("M", 1_000_000), ("G", 1_000_000_000),
    ]

    /// Nil for anything else, and for more than `largest`.
    static func value(of text: String) -> Int? {
        let unit = units.first { text.hasSuffix($0.0) }
        let digits = text.dropLast(unit?.0.count ?? 0)
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(digits) else {
            return nil
        }
        let (bytes, isTooMuch) = number.multipliedReportingOverflow(by: unit?.1 ?? 1)
        return isTooMuch || bytes > largest ? nil : bytes
    }
}
