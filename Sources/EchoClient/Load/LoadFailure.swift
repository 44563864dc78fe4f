import GreenNet

/// Something that should not happen on a connection, which ends that connection.
struct LoadFailure: Error, Equatable, Sendable {
    enum Kind: String, CaseIterable, Sendable {
        case wrongBytes = "wrong bytes"
        case tooManyBytes = "too many bytes"
        case ended = "ended by the service"
        case reset = "reset"
        case noAnswer = "no answer in time"
        case notConnected = "no connection"
        case other = "other"
    }

    let kind: Kind
    /// All that is known, in one line.
    let text: String
}

/// How many there were of each kind, and the first ones.
struct LoadFailures: Equatable, Sendable {
    private(set) var counts: [LoadFailure.Kind: Int] = [:]
    private(set) var first: [LoadFailure] = []
    private static let shown = 10

    mutating func add(_ failure: LoadFailure) {
        counts[failure.kind, default: 0] += 1
        if first.count < LoadFailures.shown { first.append(failure) }
    }

    mutating func add(_ others: LoadFailures) {
        counts.merge(others.counts, uniquingKeysWith: +)
        first = Array((first + others.first).prefix(LoadFailures.shown))
    }

    /// Those of another process, without their texts.
    mutating func add(_ count: Int, of kind: LoadFailure.Kind) { counts[kind, default: 0] += count }
    mutating func addText(_ failure: LoadFailure) { first.append(failure) }

    var total: Int { counts.values.reduce(0, +) }
}
