import Glibc

/// The format of the log's lines, and where they go.
enum LogFormat: String, Sendable {
    /// By what standard error is: `journal`, `text` or `json`.
    case auto
    /// For people: `2026-11-21T03:28:47.123Z notice listening on 127.0.0.1:8080 model=green ...`
    case text
    /// An object a line, for programs that collect the output of containers.
    case json
    /// Entries of systemd's journal, with fields.
    case journal

    /// The format for `descriptor`, never `auto`.  `journalStream` is `$JOURNAL_STREAM`: device and inode of the stream that systemd has connected.
    func resolved(
        for descriptor: Int32 = STDERR_FILENO,
        journalStream: String? = getenv("JOURNAL_STREAM").map { String(cString: $0) }
    ) -> LogFormat {
        guard self == .auto else { return self }
        if let journalStream, LogFormat.isStream(journalStream, behind: descriptor) { return .journal }
        return isatty(descriptor) == 1 ? .text : .json
    }

    /// Compares the variable with the descriptor: a shell that redirects standard error leaves the variable as it was.
    private static func isStream(_ text: String, behind descriptor: Int32) -> Bool {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        var status = stat()
        guard parts.count == 2, let device = UInt64(parts[0]), let inode = UInt64(parts[1]),
            fstat(descriptor, &status) == 0
        else { return false }
        return status.st_dev == device && status.st_ino == inode
    }
}
