import Glibc
import GreenNet

/// Another program, run to its end.
enum Tool {
    /// Its standard output.  Throws `BenchFailure` with the last line of its complaint where it fails, and `TimedOut` after `limit`.
    @discardableResult
    static func run(_ words: [String], limit: Duration = .seconds(3600)) throws -> String {
        let (exit, output, errors) = try withTimeout(limit) {
            try ChildProcess.run(words[0], Array(words.dropFirst()))
        }
        guard exit == .status(0) else {
            let complaint = String(decoding: errors, as: UTF8.self).lines.last.map(String.init) ?? "\(exit)"
            throw BenchFailure(complaint)
        }
        return String(decoding: output, as: UTF8.self)
    }

    static func isInstalled(_ name: String) -> Bool {
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        return path.split(separator: ":").contains { access("\($0)/\(name)", X_OK) == 0 }
    }

    /// Throws where a program that `make TARGET` builds is missing.
    static func check(_ paths: [String], builtBy target: String) throws {
        for path in paths where access(path, X_OK) != 0 {
            throw BenchFailure("no \(path): make \(target) builds it")
        }
    }
}
