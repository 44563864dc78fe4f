import GreenNet
import Testing

@testable import EchoClient

struct ComparisonTests {
    @Test func `another server has a name and a command`() {
        #expect(Contender.other("nc=nc -l {port}")?.command == ["/bin/sh", "-c", "nc -l {port}"])
        #expect(Contender.other("a=b=c")?.command.last == "b=c")
        #expect(Contender.other("nc -l") == nil)
        #expect(Contender.other("nc=") == nil)
    }

    @Test func `pools say how many they can serve, the other models are tried`() {
        let models = Contender.models("/bin/echo-server", workers: 2, pool: 64)
        #expect(models.map(\.places) == [nil, nil, nil, 64, nil, 64])
        #expect(Set(models.map(\.name)).count == models.count)
        #expect(models.allSatisfy { $0.command[0] == "/bin/echo-server" })
    }

    @Test func `a median is between the rounds`() {
        let rounds = [3.0, 1, 2, 10].map { Measurement(rate: $0, memory: $0) }
        #expect(Measurement.median(of: rounds).rate == 2.5)
        #expect(Measurement.median(of: Array(rounds.prefix(3))).memory == 2)
    }

    @Test func `memory of a connection is what the server holds more than without any`() {
        let measurement = Measurement(memory: 3000, idleMemory: 1000)
        #expect(measurement.memoryPerConnection(100) == 20)
        #expect(Measurement(memory: 1, idleMemory: 2).memoryPerConnection(1) == 0)
    }

    @Test(arguments: [(0.0, "-"), (0.4, "-"), (.nan, "-"), (1, "1 B"), (4096, "4.00 KiB")])
    func `memory of a connection that is too little to be measured is no number`(bytes: Double, text: String) {
        #expect(Figure.memoryPerConnection.text(bytes) == text)
    }

    @Test func `columns of a table are aligned`() {
        #expect(TextTable.aligned([["a", "bb"], ["ccc", "d"]]) == ["a    bb", "ccc   d"])
        #expect(TextTable.markdown([["a", "b"], ["c", "d"]]) == "| a | b |\n| --- | ---: |\n| c | d |\n")
    }

    @Test(arguments: [(0.0, "0 B"), (1023, "1023 B"), (4976, "4.86 KiB"), (5_242_880, "5.00 MiB"), (3e9, "2.79 GiB")])
    func `bytes have the unit that suits them`(bytes: Double, text: String) { #expect(shortBytes(bytes) == text) }

    @Test(arguments: [(10_000.0, "10 ms"), (1_000_000, "1 s"), (2500, "2.5 ms"), (0, "0 ns")])
    func `ticks have no needless digits`(microseconds: Double, text: String) {
        #expect(Figure.p99.tick(microseconds) == text)
    }

    @Test func `a plot has a mark for each point, and an axis that holds them all`() {
        let points = [(1.0, 0.5), (10, 70), (10_000, 90_000)].map { Plot.Point(x: $0.0, y: $0.1, range: $0.1...$0.1) }
        for unit in [nil, 1.0] {
            let plot = Plot(
                title: "a < b", series: [.init(name: "one & only", number: 2, points: points)], xs: [1, 10, 10_000],
                logarithmicUnit: unit, text: { "\($0)" }, tick: { "\($0)" })
            let svg = plot.svg
            #expect(svg.components(between: "class=\"mark\"") == 3)
            #expect(svg.contains("one &amp; only, 10,000 connections"))
            #expect(svg.contains("a &lt; b"))
            #expect(!svg.contains("nan") && !svg.contains("inf"))
            // Nothing lies above or below the picture.
            let heights = svg.split(separator: "\"").filter { $0.hasPrefix("-") }
            #expect(heights.isEmpty)
        }
    }
}

extension String {
    /// The number of times that `text` occurs in the string.
    fileprivate func components(between text: String) -> Int { ranges(of: text).count }
}
