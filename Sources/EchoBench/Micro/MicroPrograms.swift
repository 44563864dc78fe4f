import GreenNet

/// The programs that time the same steps.
struct MicroPrograms {
    static let ours = "GreenNet"
    static let before = "before"
    private static let others = ["go", "tokio", "gevent"]

    let program: String
    /// The command of each program that is here.
    private(set) var words: [String: [String]] = [:]
    /// Why others are missing.
    private(set) var missing: [String] = []

    init(program: String, before: String?) {
        self.program = program
        words[MicroPrograms.ours] = [program]
        words[MicroPrograms.before] = before.map { [$0] }
    }

    /// Those in other languages.  One that can't be built is left out, and named.
    mutating func build() {
        for name in MicroPrograms.others {
            Progress.show("building \(name)")
            do { words[name] = try PeerBuild.words(of: "micro-\(name)") } catch { missing.append("\(name) \(error)") }
        }
    }

    /// Of two builds, another one is first in each round.
    func order(in round: Int) -> [String] {
        let builds = [MicroPrograms.ours, MicroPrograms.before]
        let order = (round.isMultiple(of: 2) ? builds.reversed() : builds) + MicroPrograms.others
        return order.filter { words[$0] != nil }
    }
}
