import ArgumentParser

/// An option with several numbers, separated by blanks: `--connections "64 1000"`.
struct NumberList: ExpressibleByArgument {
    let numbers: [Int]

    init(_ numbers: [Int]) { self.numbers = numbers }

    init?(argument: String) {
        let numbers = argument.words.map { Int($0) }
        guard !numbers.contains(where: { ($0 ?? 0) < 1 }) else { return nil }
        self.numbers = numbers.compactMap { $0 }
    }

    var defaultValueDescription: String { numbers.map { "\($0)" }.joined(separator: " ") }
}

/// A regular expression that chooses servers by name.
struct NamePattern: ExpressibleByArgument {
    private let pattern: String

    init?(argument: String) {
        guard (try? Regex(argument)) != nil else { return nil }
        pattern = argument
    }

    func matches(_ name: String) -> Bool { (try? Regex(pattern).firstMatch(in: name)) ?? nil != nil }
}
