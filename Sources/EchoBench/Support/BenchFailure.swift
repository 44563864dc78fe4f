import Glibc

/// Why a benchmark or one of its measurements can't go on, in one line.
struct BenchFailure: Error, Equatable, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Writes a line to standard error.
func complain(_ text: String) { writeError("EchoBench: \(text)\n") }

func writeError(_ text: String) {
    var text = text
    text.withUTF8 { bytes in _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
}

/// Writes what was printed so far.
func flushOutput() { fflush(nil) }
