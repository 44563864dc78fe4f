import Glibc

/// How the lines of the log look, and where they go.
enum LogFormat: String, Sendable {
    /// What suits standard error: `journal`, `text` or `json`.
    case auto
    /// For people: `2026-11-21T03:28:47.123Z notice listening on ...`
    case text
    /// An object a line, for whatever collects the output of containers.
    case json
    /// Entries of systemd's journal, with fields.
    case journal

    /// Never `auto`.  `journalStream` is what systemd says of the stream that it has connected, in `$JOURNAL_STREAM`.
    func resolved(
        for descriptor: Int32 = STDERR_FILENO,
        journalStream: String? = getenv("JOURNAL_STREAM").map { String(cString: $0) }
    ) -> LogFormat {
        guard self == .auto else { return self }
        if let journalStream, LogFormat.isStream(journalStream, behind: descriptor) { return .journal }
        return isatty(descriptor) == 1 ? .text : .json
    }

    /// Whoever redirects standard error leaves the variable as it was, hence the look at what is really there.
    private static func isStream(_ text: String, behind descriptor: Int32) -> Bool {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        var status = stat()
        guard parts.count == 2, let device = UInt64(parts[0]), let inode = UInt64(parts[1]),
            fstat(descriptor, &status) == 0
        else { return false }
        return status.st_dev == device && status.st_ino == inode
    }
}
