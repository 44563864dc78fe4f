import GreenNet

/// A running `echo-load`, which connects, waits for `go`, reports, and waits for another `go` to end.
final class Generator {
    private let child: ChildProcess
    private let answers: LineReader
    private let patience: Duration

    fileprivate init(_ child: ChildProcess, patience: Duration) {
        (self.child, self.patience) = (child, patience)
        answers = LineReader(child.output)
    }

    /// Its next line.  Throws where it has ended, or says nothing for two minutes more than it measures.
    @discardableResult
    func hear() throws -> String {
        do throws(NetError) {
            if let line = try answers.next(until: .after(patience)) { return line }
        } catch {
            guard error.waitError == .deadlinePassed else { throw error }
            throw BenchFailure("the generator says nothing")
        }
        throw BenchFailure("the generator has ended: \(try complaint())")
    }

    private func complaint() throws -> String {
        try LineReader(child.errorOutput).next(until: .after(.seconds(1))) ?? "no reason given"
    }

    func go() throws { try child.input.sendAll(Array("\n".utf8)) }

    fileprivate func end() throws {
        try go()
        guard try child.wait(until: .after(patience)) == .status(0) else {
            throw BenchFailure("the generator has failed: \(try complaint())")
        }
    }
}

/// How generators are started.
struct GeneratorStart {
    /// Where the programs in C lie.
    static let folder = ".build/bench"
    static let program = "\(folder)/echo-load"

    let placement: [String]
    let port: Int

    /// Runs one while `body` does; it has connected when `body` begins.  Throws where the generator fails.
    func attended<Value>(
        _ options: [String], seconds: Double = 0, _ body: (Generator) throws -> Value
    ) throws -> Value {
        let words = placement + [GeneratorStart.program, "127.0.0.1", "\(port)"] + options
        return try withChild(words[0], Array(words.dropFirst()), options: .init(group: .ownSession)) { child in
            let generator = Generator(child, patience: .seconds(120 + seconds))
            try generator.hear()
            let value = try body(generator)
            try generator.end()
            return value
        }
    }

    /// Runs one from beginning to end, and returns what it reports.
    func run(_ options: [String]) throws -> LoadReport {
        let words = placement + [GeneratorStart.program, "127.0.0.1", "\(port)"] + options
        return try LoadReport(parsing: try Tool.run(words, limit: .seconds(300)))
    }
}
