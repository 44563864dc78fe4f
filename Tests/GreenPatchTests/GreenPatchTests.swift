import TestSupport
import Testing

struct GreenPatchTests {
    @Test(arguments: try PatchedCase.all())
    func `a program with GreenPatch does what it promises`(patchedCase: PatchedCase) throws {
        let end = try Program.run(Program.built("PatchedProgram", [patchedCase.name]), within: .seconds(90))
        #expect(end.exit == .status(0), "\(end.output)\(end.error)")
    }
}

struct PatchedCase: Sendable, CustomTestStringConvertible {
    let name: String

    var testDescription: String { name }

    static func all() throws -> [PatchedCase] {
        let list = try Program.run(Program.built("PatchedProgram", ["--list"]))
        let cases = list.output.split(separator: "\n").map { PatchedCase(name: String($0)) }
        try #require(cases.count > 100, "\(list.error)")
        return cases
    }
}
