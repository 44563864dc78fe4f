/// Nanoseconds a message in two servers, by where they are spent.
struct ProfileTable {
    private let count: Int
    private let floor: [ProfilePlace: Double]
    private let green: [ProfilePlace: Double]

    /// What the floor does outside of libraries is its handler.
    init(_ count: Int, floor: [ProfilePlace: Double], green: [ProfilePlace: Double]) {
        (self.count, self.green) = (count, green)
        var floor = floor
        floor[.handler, default: 0] += floor.removeValue(forKey: .rest) ?? 0
        self.floor = floor
    }

    var text: String {
        var table = MarkdownTable("\(count) connections", [ModelContender.floor, "green"])
        for place in ProfilePlace.allCases {
            table.add([place.rawValue] + [floor, green].map { ($0[place] ?? 0).decimals(0) })
        }
        return table.text
    }
}
