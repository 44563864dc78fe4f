import Glibc
import GreenNet
import ProgramKit

/// The table of `EchoBench start`.
struct StartReport {
    let text: String

    init(_ samples: Samples, _ roster: StartRoster) throws {
        var table = MarkdownTable(
            "server",
            ["exec to the first answer, ms", "CPU time, ms", "resident, KiB", "file, KiB", "million instructions"])
        for server in roster.servers {
            let time = samples.spread(of: server.name) { $0["milliseconds"] }
            let measured = [
                time.text(decimals: 1), samples.median(of: server.name, "cpu_milliseconds").decimals(1),
                samples.median(of: server.name, "resident_kib").decimals(0),
            ]
            table.add([server.name] + measured + (try StartedFile(server.words[0]).figures(of: server)))
        }
        text = ([table.text] + roster.missing.map { "Missing: \($0)." }).joined(separator: "\n\n")
    }
}

/// A program's file.
struct StartedFile {
    private let path: String

    init(_ path: String) { self.path = path }

    /// Its size without symbols in KiB, and the millions of instructions of one start and one answer; "-" for what cannot be found out.
    func figures(of server: ServerStart) throws -> [String] {
        try withScratchFolder { folder in
            let bare = "\(folder)/bare"
            let size = try? size(strippedInto: bare)
            let count = size == nil ? nil : try? instructions(of: server, as: bare, folder)
            return [size.map { "\($0 / 1024)" } ?? "-", count.map { ($0 / 1e6).decimals(1) } ?? "-"]
        }
    }

    /// In bytes.
    private func size(strippedInto copy: String) throws -> Int {
        try Tool.run(["strip", "-o", copy, path])
        var status = stat()
        guard stat(copy, &status) == 0 else { throw BenchFailure("no \(copy): \(SystemError(errno))") }
        return Int(status.st_size)
    }

    /// Of the whole process; valgrind cannot read what Swift writes for debuggers, so of the stripped file.
    private func instructions(of server: ServerStart, as file: String, _ folder: String) throws -> Double {
        let log = "\(folder)/valgrind"
        var start = server
        start.patience = 120
        start.words[0] = file
        let valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        start.words = valgrind + ["--log-file=\(log)"] + start.words
        try start.run(placement: []) { try StartSample.exchange(with: $0.port) }
        return try Cachegrind.Counter.instructions.value(in: SmallFile.text(of: log) ?? "")
    }
}
