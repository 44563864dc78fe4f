import Glibc
import TestSupport
import Testing

@Suite struct MistakeTests {
    @Test func `every mistake in a program stops it, with a message that names it`() throws {
        let list = try Program.run(Program.built("Mistakes", ["--list"]))
        let mistakes = list.output.split(separator: "\n").map {
            $0.split(separator: "\t", maxSplits: 1).map(String.init)
        }
        try #require(mistakes.count > 20 && mistakes.allSatisfy { $0.count == 2 })
        for mistake in mistakes {
            let end = try Program.run(mistakeProgram(mistake[0]))
            #expect(end.exit == .signal(SIGILL) || end.exit == .signal(SIGTRAP), "\(mistake[0])")
            let said = end.error.replacing(/(OS thread|descriptor) [0-9]+/) { "\($0.1) N" }
            #expect(said.contains(mistake[1]), "\(mistake[0]): \(said)")
        }
    }

    /// The program prints no backtrace, which takes the runtime a second.
    private func mistakeProgram(_ name: String) throws -> Program.Launch {
        var launch = try Program.built("Mistakes", [name])
        launch.environment["SWIFT_BACKTRACE"] = "enable=no"
        return launch
    }
}
