/// How many `CountedValue` there are.
final class ValueCount: @unchecked Sendable {  // used by one OS thread after the other
    var (made, alive) = (0, 0)
}

/// A value that says when it is released.
final class CountedValue {
    private let count: ValueCount

    init(_ count: ValueCount) {
        self.count = count
        count.made += 1
        count.alive += 1
    }

    deinit { count.alive -= 1 }
}
