import ProgramKit
import Testing

@testable import EchoBench

struct SamplesTests {
    private func samples(_ rows: [(String, Int, Double)]) throws -> Samples {
        let samples = try Samples(nil, columns: ["rate", "time"])
        for (name, round, time) in rows { try samples.add(name, round: round, [1 / time, time]) }
        return samples
    }

    @Test func `a ratio is the median of the ratios in the same round, and not the ratio of medians`() throws {
        let samples = try samples([
            ("floor", 1, 10), ("ours", 1, 20), ("floor", 2, 100), ("ours", 2, 110), ("floor", 3, 1), ("ours", 3, 1.3),
        ])
        let ratio = samples.ratio(of: "ours", to: "floor") { $0["time"] }
        #expect(ratio == Spread([2, 1.1, 1.3]))
        #expect(ratio.median == 1.3)
    }

    @Test func `a round in which one of the two failed does not count`() throws {
        let samples = try samples([("floor", 1, 10), ("ours", 1, 20), ("ours", 2, 110), ("floor", 3, 1)])
        #expect(samples.ratio(of: "ours", to: "floor") { $0["time"] } == Spread([2]))
    }

    @Test func `a figure may be made of several columns`() throws {
        let samples = try samples([("ours", 1, 4), ("ours", 2, 2)])
        #expect(samples.spread(of: "ours") { $0["rate"] * $0["time"] } == Spread([1, 1]))
    }

    @Test func `servers keep the order of their first rows`() throws {
        let samples = try samples([("b", 1, 1), ("a", 1, 1), ("b", 2, 1)])
        #expect(samples.servers() == ["b", "a"])
        #expect(samples.servers(in: "another group") == [])
    }

    @Test func `rows are in the file as CSV as soon as they are measured`() throws {
        try withScratchFolder { folder in
            let path = "\(folder)/samples.csv"
            let samples = try Samples(path, columns: ["rate", "time"])
            try samples.add("thread, pool", round: 1, group: "64", note: "sendto 1.00", [2, 0.5])
            #expect(
                SmallFile.text(of: path) == """
                    group,round,server,rate,time,note
                    64,1,"thread, pool",2.0,0.5,"sendto 1.00"

                    """)
        }
    }
}
