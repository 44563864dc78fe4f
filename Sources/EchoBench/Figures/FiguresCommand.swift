import ArgumentParser
import Glibc
import ProgramKit

/// `EchoBench figures`: the comparison by `echo-client compare`, written into Documentation/measurements.md.
struct FiguresCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "figures",
        abstract:
            "Compares the models by `echo-client compare`, and writes its figures into Documentation/measurements.md.",
        discussion: "Options are those of `echo-client compare`.  The page with the plots is .build/bench/models.html.")

    static let document = "Documentation/measurements.md"
    private static let page = "\(GeneratorStart.folder)/models.html"
    private static let client = ".build/release/echo-client"

    @Argument(parsing: .captureForPassthrough, help: "Options of `echo-client compare`.") var options: [String] = []

    func run() throws {
        try Tool.check([FiguresCommand.client], builtBy: "bench")
        guard let old = SmallFile.text(of: FiguresCommand.document) else {
            throw BenchFailure("no \(FiguresCommand.document)")
        }
        // Before the figures are made, which takes minutes.
        _ = try FigureBlock.replace(in: old, with: "")
        _ = try TextFile(creating: FiguresCommand.page)
        let figures = try Tool.run(
            [FiguresCommand.client, "compare", "--markdown", "--html", FiguresCommand.page] + options)
        try TextFile(creating: FiguresCommand.document).write(try FigureBlock.replace(in: old, with: figures))
        print("\(FiguresCommand.document) has the figures now; the plots are in \(FiguresCommand.page)")
    }
}
