/// What the generator asks of a server.
struct PeerLoad: Equatable {
    /// As the user has it: `64`, `64x16`, `bulk` or `churn`.
    let name: String
    let title: String
    /// Of echo-load.
    let options: [String]

    static let bulk = PeerLoad(
        name: "bulk", title: "16 connections, 64 KiB, one message in flight on each (bulk)",
        options: ["--connections", "16", "--size", "65536"])
    static let churn = PeerLoad(
        name: "churn", title: "Connect, one message of 64 bytes, close; 64 at a time (churn)",
        options: ["--connections", "64", "--mode", "churn"])

    private init(name: String, title: String, options: [String]) {
        (self.name, self.title, self.options) = (name, title, options)
    }

    /// Nil where `name` is no load.
    init?(_ name: String) {
        if let known = [PeerLoad.bulk, .churn].first(where: { $0.name == name }) {
            self = known
            return
        }
        let numbers = name.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
        guard (1...2).contains(numbers.count), numbers.allSatisfy({ $0 > 0 }) else { return nil }
        let depth = numbers.count == 2 ? numbers[1] : 1
        self.init(
            name: name, title: "\(numbers[0]) connections, 64 bytes, \(depth) in flight on each",
            options: ["--connections", "\(numbers[0])", "--depth", "\(depth)"])
    }

    static func all(_ names: String) -> [PeerLoad] { names.words.compactMap { PeerLoad($0) } }
}
