import GreenNet

/// A server of the comparison of models.
struct ModelContender {
    static let floor = "C epoll"
    /// The floor once more: its distance from the floor is the noise.
    static let again = "C epoll again"
    private static let suffix = " before"

    let start: ServerStart
    /// Connections that it can have at once; nil for as many as come.
    var places: Int?

    var name: String { start.name }
    var isFloor: Bool { family.hasPrefix(ModelContender.floor) }
    /// Another build's.
    var isBefore: Bool { name.hasSuffix(ModelContender.suffix) }
    /// Its name without the build.
    var family: String { isBefore ? String(name.dropLast(ModelContender.suffix.count)) : name }

    static func before(_ name: String) -> String { name + suffix }

    static let floors = ["epoll", "thread", "fork"].map(program)
    private static func program(_ name: String) -> String { "\(GeneratorStart.folder)/\(name)-floor" }

    /// In the order of the tables; each of ours with that of the build before behind it, or with `record` itself without records.
    static func all(server: String, before: String?, record: String? = nil, pool: Int) -> [ModelContender] {
        let other = before ?? (record == nil ? nil : server)
        let recording = record.map { ["--record", $0] } ?? []
        func ours(_ name: String, _ options: [String] = [], places: Int? = nil) -> [ModelContender] {
            let own = (name, [server] + recording)
            let builds = [own] + (other.map { [(ModelContender.before(name), [$0])] } ?? [])
            return builds.map { name, program in
                ModelContender(
                    start: ServerStart(name: name, words: program + ["--port", "0"] + options), places: places)
            }
        }
        func inC(_ name: String, _ file: String) -> ModelContender {
            ModelContender(start: ServerStart(name: name, words: [program(file)]))
        }
        let size = ["--pool-size", "\(pool)"]
        return [inC(floor, "epoll"), inC(again, "epoll")] + ours("green")
            + ours("green, 2 workers", ["--workers", "2"])
            + ours("green, 2 processes", ["--processes", "2"]) + [inC("C thread", "thread")]
            + ours("thread", ["--model", "thread"]) + ours("thread pool", ["--model", "thread"] + size, places: pool)
            + [inC("C fork", "fork")] + ours("process", ["--model", "process"])
            + ours("process pool", ["--model", "process"] + size, places: pool)
    }

    /// All of them; of two builds, another one is first in each round.
    static func order(_ contenders: [ModelContender], in round: Int) -> [ModelContender] {
        var order = contenders
        guard round.isMultiple(of: 2) else { return order }
        for index in order.indices.dropFirst() where order[index].isBefore { order.swapAt(index - 1, index) }
        return order
    }
}
