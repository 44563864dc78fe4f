import Glibc
import GreenNet
import TestSupport
import Testing

extension EndToEnd {
    /// `echo-client workload`.  It forks, which ThreadSanitizer handles badly.
    @Suite(.serialized, .enabled(if: Sanitizer.active == .none)) struct WorkloadTests {
        private static func run(_ arguments: String...) throws -> (exit: Program.Exit, output: String, error: String) {
            try Program.run(
                Program.built("echo-client", ["workload", "--rounds", "1", "--tasks", "2"] + arguments),
                within: .seconds(60))
        }

        @Test func `each kind of work is done in each way, and explained`() throws {
            let result = try WorkloadTests.run()
            #expect(result.exit == .status(0))
            #expect(result.error == "")
            for kind in ["computation", "disk", "network", "sleep"] {
                #expect(result.output.contains("\(kind): 2 tasks, each "))
            }
            for way in ["one thread ", "many threads ", "many processes ", "green threads "] {
                #expect(result.output.ranges(of: "\n  \(way)").count == 4)
            }
            #expect(result.output.ranges(of: "      On average ").count == 12)
        }

        /// As much of a file as ever, however long a task is.
        @Test(arguments: [
            ("0.3", "writes 12 MiB", "150 times", "300 ms"), ("0.001", "writes 1 MiB", "once", "1.00 ms"),
        ])
        func `a task takes about as long as was asked for`(
            length: String, disk: String, network: String, sleep: String
        ) throws {
            let start = Deadline.now
            let result = try WorkloadTests.run("--work", "disk,network,sleep", "--length", length)
            #expect(result.exit == .status(0))
            for text in [disk, network, "sleeps for \(sleep)"] {
                #expect(result.output.contains(text), "\(result.output)")
            }
            // Sleeps of two tasks one after the other, on one thread.
            let least = Duration.seconds(2 * Double(length)!)
            #expect(Deadline.now - start > least)
        }

        @Test func `the JSON report has the figures of the table`() throws {
            let result = try WorkloadTests.run("--work", "sleep", "--json")
            #expect(result.exit == .status(0))
            #expect(result.output.hasPrefix("[{\"work\":\"sleep\","))
            #expect(result.output.ranges(of: "\"why\":\"").count == 4)
        }

        @Test func `a directory that can't be written to is a failure`() throws {
            let result = try WorkloadTests.run("--work", "disk", "--directory", "/proc")
            #expect(result.exit == .status(1))
            #expect(result.error.contains("cannot write /proc: no such file or directory (ENOENT)"))
            #expect(result.error.hasSuffix("echo-client: a task of the workload failed\n"))
        }

        @Test(arguments: [
            ["--work", "gardening"], ["--tasks", "0"], ["--rounds", "0"], ["--length", "0"], ["--length", "61"],
        ])
        func `invalid options are refused`(options: [String]) throws {
            let result = try Program.run(Program.built("echo-client", ["workload"] + options))
            #expect(result.exit == .status(64))
        }
    }
}
