import ProgramKit

/// What the green model may take at most of the processor and its caches, as cachegrind counts it: the same number on each machine, whatever else runs there.
struct Ceiling {
    let what: String
    let most: Double
    let count: Cachegrind

    /// A twentieth above what was counted last.  Where a count falls, its ceiling follows.
    static let all = [
        Ceiling(
            what: "instructions a message, 64 connections", most: 640,
            count: Cachegrind(counter: .instructions, connections: 64)),
        Ceiling(
            what: "cache lines a message, 1,000 connections", most: 11.2,
            count: Cachegrind(counter: .lines, connections: 1000)),
        Ceiling(
            what: "instructions a connection with one message", most: 6400,
            count: Cachegrind(counter: .instructions, connections: 16, mode: "churn")),
    ]

    /// Nil where `peer` keeps to it.
    func problem(of peer: Peer, _ harness: Harness) throws -> String? {
        let counted = try count.count(of: peer, harness)
        print("\(what): \(counted.decimals(1)), at most \(most.decimals(1))")
        return counted <= most ? nil : "\(what): \(counted.decimals(1)), which is more than \(most.decimals(1))"
    }
}
