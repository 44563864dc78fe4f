import ArgumentParser
import ProgramKit
import Testing

@testable import EchoClient

/// Each numeric option of each subcommand: both ends of its range, and a value beyond each end.
struct OptionRangeTests {
    struct Case: CustomTestStringConvertible {
        let command: [String]
        let option: String
        let taken: [String]
        let refused: [String]
        let rule: String

        init(_ command: String, _ option: String, _ taken: [String], _ refused: [String], _ rule: String) {
            self.command = command.split(separator: " ").map(String.init)
            (self.option, self.taken, self.refused, self.rule) = (option, taken, refused, rule)
        }

        var testDescription: String { (command + [option]).joined(separator: " ") }
    }

    private static let nonsense = [
        "", "-1", "nan", "inf", "0x10", "1e300", "99999999999999999999999", "five", "1,2", "--json",
    ]

    static let cases = [
        Case(
            "talk", "--timeout", ["0", "0.001", "3153600000"], ["0.0009", "3153600001"],
            "from 0.001 to 3153600000 seconds, or 0"),
        Case(
            "ping", "--timeout", ["0.001", "3153600000"], ["0", "0.0009", "3153600001"],
            "from 0.001 to 3153600000 seconds"),
        Case("load", "--connections", ["1", "10000"], ["0", "1000001", "1.5"], "a whole number from 1 to 1000000"),
        Case(
            "load --connections 1", "--size", ["1", "1073741824"], ["0", "1073741825"],
            "a whole number from 1 to 1073741824 bytes"),
        Case("load", "--depth", ["1", "100000"], ["0", "100001"], "a whole number from 1 to 100000"),
        Case(
            "load", "--duration", ["0.001", "3153600000"], ["0", "0.0009", "1e-30", "3153600001"],
            "from 0.001 to 3153600000 seconds"),
        Case(
            "load", "--messages", ["1", "1000000000000"], ["0", "1000000000001"],
            "a whole number from 1 to 1000000000000"),
        Case(
            "load", "--rate", ["0.01", "10000000"], ["0", "0.0099", "10000000.1"],
            "from 0.01 to 10000000 messages a second"),
        Case("load", "--ramp", ["0", "0.001", "86400"], ["0.0009", "86401"], "from 0.001 to 86400 seconds, or 0"),
        Case("load", "--threads", ["1", "256"], ["0", "257"], "a whole number from 1 to 256"),
        Case("load", "--processes", ["1", "1024"], ["0", "1025"], "a whole number from 1 to 1024"),
        Case(
            "load", "--timeout", ["0.001", "3153600000"], ["0", "0.0009", "3153600001"],
            "from 0.001 to 3153600000 seconds"),
        Case("compare", "--rounds", ["1", "1000"], ["0", "1001"], "a whole number from 1 to 1000"),
        Case("compare", "--duration", ["0.001", "3600"], ["0", "0.0009", "3601"], "from 0.001 to 3600 seconds"),
        Case(
            "compare --connections 1", "--size", ["1", "1073741824"], ["0", "1073741825"],
            "a whole number from 1 to 1073741824 bytes"),
        Case(
            "compare --connections 1", "--depth", ["1", "100000"], ["0", "100001"], "a whole number from 1 to 100000"),
        Case("compare", "--pool-size", ["1", "1024"], ["0", "1025"], "a whole number from 1 to 1024"),
        Case("compare", "--workers", ["1", "1024"], ["0", "1025"], "a whole number from 1 to 1024"),
        Case("workload", "--tasks", ["1", "1000"], ["0", "1001"], "a whole number from 1 to 1000"),
        Case("workload", "--length", ["0.001", "60"], ["0", "0.0009", "60.1"], "from 0.001 to 60 seconds"),
        Case("workload", "--rounds", ["1", "100"], ["0", "101"], "a whole number from 1 to 100"),
    ]

    @Test(arguments: ["", ",", "127.0.0.1,", ",::1", "localhost", "127.0.0.1:80"])
    func `each address to connect from must be valid`(text: String) throws {
        #expect(throws: (any Error).self) { try EchoClient.parseAsRoot(["load", "--source", text]) }
        #expect(throws: Never.self) { try EchoClient.parseAsRoot(["load", "--source", "127.0.0.2,::1"]) }
    }

    @Test(arguments: cases)
    func `both ends of an option's range are taken, and what lies beyond is refused in words`(option: Case) throws {
        for value in option.taken {
            #expect(throws: Never.self) { try EchoClient.parseAsRoot(option.command + [option.option, value]) }
        }
        for value in option.refused + OptionRangeTests.nonsense {
            let shown = value.isEmpty ? "\"\"" : value
            let complaint = OptionRangeTests.complaint(option.command + [option.option, value])
            #expect(complaint == "\(option.option) must be \(option.rule), not \(shown)")
        }
    }

    @Test(arguments: [
        ("1,10,100", true), ("100000", true), ("0", false), ("1,100001", false), ("1,,2", false), ("", false),
    ])
    func `numbers of connections come in a list, each in its range`(list: String, isTaken: Bool) {
        let complaint = OptionRangeTests.complaint(["compare", "--connections", list])
        #expect((complaint == nil) == isTaken)
        if let complaint {
            #expect(complaint.hasPrefix("each of --connections must be a whole number from 1 to 100000, not "))
        }
    }

    @Test(arguments: ["0", "65536", "http", "1.5"])
    func `an invalid port is refused in words`(port: String) {
        for command in [[], ["ping"], ["load"]] {
            let complaint = OptionRangeTests.complaint(command + ["::1", port])
            #expect(complaint == "<port> must be a whole number from 1 to 65535, not \(port)")
        }
    }

    @Test(
        arguments: [
            (["--connections", "1000", "--depth", "10000"], nil),
            (
                ["--connections", "1000", "--depth", "10001"],
                "1000 connections with 10001 messages in flight are 10001000 messages, and must be at most 10000000: lower --connections or --depth."
            ),
            (["--connections", "64", "--size", "1073741824"], nil),
            (
                ["--connections", "65", "--size", "1073741824"],
                "65 connections with 1 messages in flight of 1073741824 bytes are 69793218560 bytes, and must be at most 68719476736: lower --connections, --depth or --size."
            ),
            (
                ["--processes", "17", "--threads", "256"],
                "17 processes of 256 OS threads are 4352, and must be at most 4096."
            ),
            (["--processes", "16", "--threads", "256"], nil),
        ] as [([String], String?)])
    func `the product of options has a limit too`(options: [String], complaint: String?) {
        #expect(OptionRangeTests.complaint(["load"] + options) == complaint)
    }

    @Test func `connections need processes with descriptors for them`() {
        let each = DescriptorLimit.connections
        #expect(OptionRangeTests.complaint(["load", "--connections", "\(each)", "--processes", "1"]) == nil)
        let complaint = OptionRangeTests.complaint(["load", "--connections", "\(each + 1)", "--processes", "1"])
        #expect(
            complaint?.hasSuffix(
                "takes 2 processes of \(each) connections each at this descriptor limit: --processes 1 is too few.")
                == true)
    }

    /// Nil if the arguments are taken.
    private static func complaint(_ arguments: [String]) -> String? {
        do {
            _ = try EchoClient.parseAsRoot(arguments)
            return nil
        } catch {
            #expect(EchoClient.exitCode(for: error) == .validationFailure)
            return EchoClient.message(for: error)
        }
    }
}
