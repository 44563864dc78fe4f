import Glibc
import TestSupport

/// Draws the samples of a soak: a self-contained file for each model.
struct SoakPage {
    private let record: SoakRecord

    init(_ record: SoakRecord) { self.record = record }

    /// Writes into the directory that SOAK_OUTPUT names; without the variable, writes nothing.
    func writeWhereAsked() throws {
        guard let directory = getenv("SOAK_OUTPUT").map({ String(cString: $0) }) else { return }
        let name = record.model.testDescription.filter { $0 != "-" }.map { $0 == " " ? "-" : String($0) }.joined()
        try TestSupport.write(html, to: "\(directory)/\(name).html")
        try TestSupport.write(record.text + "\n", to: "\(directory)/\(name).txt")
    }

    private var html: String {
        let mebibyte = 1024.0 * 1024
        return """
            <!doctype html><meta charset="utf-8"><title>soak: \(record.model.testDescription)</title>
            <style>
              body { font: 15px/1.4 system-ui, sans-serif; max-width: 60rem; margin: 1rem auto; }
              svg { width: 100%; height: 11rem; overflow: visible; border-bottom: 1px solid #999; }
              polyline { fill: none; stroke-width: 1.5; vector-effect: non-scaling-stroke; }
              h2 { font-size: 1rem; margin: 1.2rem 0 .2rem; }
            </style>
            <h1>soak: \(record.model.testDescription)</h1><pre>\(record.text)</pre>
            \(plot("Memory, MiB", [
                ("all processes", { Double($0.proportional) / mebibyte }),
                ("the first process", { Double($0.memory.min { $0.key < $1.key }?.value ?? 0) / mebibyte }),
            ]))
            \(plot("Descriptors", [("open", { Double($0.descriptors) })]))
            \(plot("Threads and children", [("OS threads", { Double($0.threads) }), ("children", { Double($0.children) })]))
            \(plot("Green threads", [("living", { Double($0.greenThreads) }), ("stacks kept", { Double($0.cachedStacks) })]))
            \(plot("Connections", [("open", { Double($0.open) })]))
            """
    }

    /// The axis is from 0 to the highest value, over the whole time.
    private func plot(_ title: String, _ lines: [(name: String, value: (SoakSample) -> Double)]) -> String {
        let samples = [record.before] + record.samples + [record.after]
        let top = lines.flatMap { line in samples.map(line.value) }.max()!
        let colours = ["#0b6e4f", "#b4540a"]
        let drawn = zip(lines, colours).map { line, colour in
            let points = samples.map { sample in
                let (x, y) = (
                    sample.seconds / record.after.seconds * 1000, 100 - 100 * line.value(sample) / max(top, 1)
                )
                return "\(SoakPage.short(x)),\(SoakPage.short(y))"
            }
            return "<polyline stroke=\"\(colour)\" points=\"\(points.joined(separator: " "))\"/>"
        }
        let legend = zip(lines, colours).map { "<span style=\"color:\($1)\">\($0.name)</span>" }.joined(separator: ", ")
        return """
            <h2>\(title): \(legend); top \(SoakPage.short(top))</h2>
            <svg viewBox="0 0 1000 100" preserveAspectRatio="none">\(drawn.joined())</svg>
            """
    }

    private static func short(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
}
