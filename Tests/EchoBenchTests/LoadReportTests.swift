import Testing

@testable import EchoBench

struct LoadReportTests {
    private let line = """
        messages=91842 seconds=1.000 messages_per_second=91835 cpu_seconds=0.515 p50_us=84.0 p99_us=119.1 max_us=2044.9 connections=8
        """

    @Test func `the generator's figures are found by their names`() throws {
        let report = try LoadReport(parsing: line)
        #expect(report.messages == 91842 && report.cpuSeconds == 0.515 && report.p50 == 84 && report.p99 == 119.1)
        #expect(report.rate == 91842)
    }

    @Test func `a missing figure is named`() {
        let incomplete = line.replacing("p99_us=119.1", with: "")
        #expect(throws: BenchFailure("no p99_us in: \(incomplete)")) { try LoadReport(parsing: incomplete) }
    }

    @Test func `costs are for one message, and shares of a CPU for the length of the run`() throws {
        let report = try LoadReport(parsing: "messages=100 seconds=2.000 cpu_seconds=0.500 p50_us=1.0 p99_us=2.0")
        let measurement = Measurement(report: report, serverNanoseconds: 1e9)
        #expect(measurement.serverTimePerMessage == 10000 && measurement.generatorTimePerMessage == 5000)
        #expect(measurement.serverBusy == 0.5 && measurement.generatorBusy == 0.25)
    }
}
