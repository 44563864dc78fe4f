import GreenNet
import Testing

@testable import EchoClient

struct LoadResultTests {
    private static func result(_ seed: Int64) -> LoadResult {
        var result = LoadResult()
        (result.opened, result.messages, result.bytes) = (3, Int(seed), 640)
        (result.elapsed, result.processorTime) = (.milliseconds(seed), .microseconds(seed))
        for value in 1...1000 { result.latencies.record(Int64(value) * 1000 * seed) }
        result.connecting.record(5000)
        result.lateness.record(10)
        result.note(.init(wait: 1_000_000 * seed, connection: 4, message: 5, asked: 6))
        result.failures.add(LoadFailure(kind: .wrongBytes, text: "connection 1: it: was wrong"))
        result.failures.add(LoadFailure(kind: .reset, text: "connection 2"))
        return result
    }

    @Test func `a process of a load writes its whole result in lines`() {
        let result = LoadResultTests.result(7)
        var copy = LoadResult()
        for line in result.lines { copy.read(line) }
        #expect(copy.lines.sorted() == result.lines.sorted())
        #expect(copy.failures == result.failures)
        #expect(copy.latencies.percentile(99) == result.latencies.percentile(99))
        #expect(copy.latencies.greatest == result.latencies.greatest)
    }

    @Test func `the results of several are one`() {
        var sum = LoadResultTests.result(1)
        sum.add(LoadResultTests.result(3))
        #expect(sum.messages == 4)
        #expect(sum.elapsed == .milliseconds(3))
        #expect(sum.processorTime == .microseconds(4))
        #expect(sum.latencies.count == 2000)
        #expect(sum.longest?.wait == 3_000_000)
        #expect(sum.failures.total == 4)
    }

    @Test func `percentiles are right to a thousandth`() {
        var latencies = Latencies()
        for value in 1...100_000 { latencies.record(Int64(value) * 1000) }
        for share in Latencies.percentiles {
            let exact = share * 1e6
            #expect(abs(latencies.percentile(share) - exact) <= exact / 1000)
        }
        #expect(latencies.greatest == 100_000_000)
    }

    @Test func `lengths beyond all measure count as the longest`() {
        var latencies = Latencies()
        latencies.record(.max)
        latencies.record(-5)
        #expect(latencies.count == 2)
        #expect(latencies.greatest == 3.6e12)
    }

    @Test func `only the first failures keep their texts`() {
        var failures = LoadFailures()
        for number in 0..<100 { failures.add(LoadFailure(kind: .ended, text: "\(number)")) }
        #expect(failures.total == 100)
        #expect(failures.first.map(\.text) == (0..<10).map { "\($0)" })
    }
}
