import Testing

@testable import EchoBench

struct ParsingTests {
    @Test func `a port is found behind its words`() {
        let line = "2026-01-01 notice: listening on 127.0.0.1:40213, model green"
        #expect(line.number(after: "listening on 127.0.0.1:") == 40213)
        #expect(line.number(after: "admin on http://127.0.0.1:") == nil)
    }

    @Test func `a field of /proc is found by its name`() {
        let status = "Name:\techo-server\nVmRSS:\t  5400 kB\nThreads:\t3\n"
        #expect(field("VmRSS", of: status) == 5400 && field("Threads", of: status) == 3)
        #expect(field("Vm", of: status) == nil)
    }

    @Test func `steps have names with commas`() throws {
        let steps = try MicroStep.parse("yield, 2 threads\t11.5\nbare switch\t6.0\n")
        #expect(steps.map(\.name) == ["yield, 2 threads", "bare switch"] && steps[0].nanoseconds == 11.5)
        #expect(throws: BenchFailure.self) { try MicroStep.parse("killed\n") }
        #expect(throws: BenchFailure.self) { try MicroStep.parse("") }
    }

    @Test func `the widest vectors count that this processor has`() {
        let code = """
            0000000000001000 <ascii_uppercase.avx512>:
                1000:\tvmovdqu64 (%rdi),%zmm0
            0000000000002000 <ascii_uppercase.avx2>:
                2000:\tvmovdqu (%rdi),%ymm0
            0000000000003000 <memcpy>:
                3000:\tvmovdqu64 (%rdi),%zmm1
            """
        #expect(VectorWidth.widest(in: code, flags: "flags : sse2 avx2 avx512bw") == 512)
        #expect(VectorWidth.widest(in: code, flags: "flags : sse2 avx2") == 256)
        #expect(VectorWidth.widest(in: code, flags: "flags : sse2") == nil)
    }

    @Test func `figures take the place of those between the marks, and nothing else changes`() throws {
        let document = "# Title\n\n\(FigureBlock.begin)\n\nold\n\n\(FigureBlock.end)\n\nEnd.\n"
        let new = try FigureBlock.replace(in: document, with: "new\n")
        #expect(new == document.replacing("old", with: "new"))
    }

    @Test(arguments: ["", FigureBlock.begin, FigureBlock.end + "\n" + FigureBlock.begin])
    func `a document without both marks in their order is left alone`(document: String) {
        #expect(throws: BenchFailure.self) { try FigureBlock.replace(in: document, with: "new") }
    }
}
