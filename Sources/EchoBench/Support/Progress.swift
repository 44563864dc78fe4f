import Glibc

/// One line on the terminal that says what is measured now; nothing where standard error is no terminal.
enum Progress {
    private static let width = 79

    static func show(_ text: String) {
        guard isatty(STDERR_FILENO) == 1 else { return }
        let padding = String(repeating: " ", count: max(0, width - text.count))
        writeError("\r\(text)\(padding)")
    }

    static func clear() {
        show("")
        if isatty(STDERR_FILENO) == 1 { writeError("\r") }
    }
}
