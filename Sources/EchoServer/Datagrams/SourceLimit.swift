import GreenNet

/// How many datagrams a second each address gets an answer to.
///
/// A spoofed source could have a third machine flooded, or two services answer each other for ever: not faster than this.
struct SourceLimit {
    private let rate: Int
    private var counts: [UInt128: Int] = [:]
    /// Of the second that is counted; nil before the first.
    private var end: Deadline?

    /// How many addresses are counted in a second; further ones get no answer.
    static let mostSources = 65_536

    init(rate: Int) { self.rate = rate }

    /// Counts a datagram of `peer`, and returns whether to answer it.
    mutating func admits(_ peer: SocketAddress, now: Deadline) -> Bool {
        if end.map({ now >= $0 }) ?? true {
            counts.removeAll(keepingCapacity: true)
            end = now + .seconds(1)
        }
        guard let source = peer.mappedBits else { return false }
        let count = counts[source] ?? 0
        guard count < rate, count > 0 || counts.count < SourceLimit.mostSources else { return false }
        counts[source] = count + 1
        return true
    }
}
