/// A line of a program's output: `yield, 2 threads TAB 11.5`.
struct MicroStep: Equatable {
    let name: String
    let nanoseconds: Double

    /// Throws `BenchFailure` where a line is no such line, or there is none.
    static func parse(_ output: String) throws(BenchFailure) -> [MicroStep] {
        var steps: [MicroStep] = []
        for line in output.lines {
            let parts = line.split(separator: "\t")
            guard parts.count == 2, let nanoseconds = Double(parts[1]) else { throw BenchFailure("no step: \(line)") }
            steps.append(MicroStep(name: String(parts[0]), nanoseconds: nanoseconds))
        }
        guard !steps.isEmpty else { throw BenchFailure("no steps were timed") }
        return steps
    }
}
