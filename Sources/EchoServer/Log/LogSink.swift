import Glibc
import GreenNet
import Logging

/// Writes the lines, each in one system call that never waits.  A line that is not taken is dropped and counted, and the next line that gets
/// through reports how many were dropped.
///
/// Any OS thread may write.  A forked child counts for itself.
final class LogSink: Sendable {
    private let format: LogFormat
    private let output: LossyOutput
    /// Nil unless the format is the journal's.
    private let journal: JournalSocket?
    /// Dropped lines that no line has reported yet.
    private let unreported = PerProcess()
    private let dropped = PerProcess()
    private let lines = LineOutput()

    /// Tests give another `descriptor` and another `path` of the journal.
    init(_ format: LogFormat, descriptor: Int32 = STDERR_FILENO, journalPath path: String = JournalSocket.path) {
        self.format = format.resolved(for: descriptor)
        output = LossyOutput(descriptor)
        journal = self.format == .journal ? JournalSocket(path: path) : nil
    }

    /// Lines that this process has lost.
    var droppedLines: Int { Int(dropped.value ?? 0) }

    func write(_ entry: LogEntry) {
        let count = unreported.take() ?? 0
        var entry = entry
        if count > 0 { entry.add(droppedLines: Int(count)) }
        if deliver(entry) { return }
        unreported.add(count + 1)
        dropped.add(1)
    }

    private func deliver(_ entry: LogEntry) -> Bool {
        let longest = LossyOutput.wholeBytes - 1  // and perhaps an end of line in front
        guard let journal else {
            return put(format == .text ? LogLine.text(entry, longest: longest) : LogLine.json(entry, longest: longest))
        }
        switch journal.send(JournalMessage.bytes(entry)) {
        case .sent: return true
        case .busy: return false
        case .gone: return put(LogLine.prefixed(entry, longest: longest))
        }
    }

    private func put(_ line: [UInt8]) -> Bool { lines.put(line, to: output) }
}

/// Hands swift-log's events to the sink.
struct SinkLogHandler: LogHandler {
    let sink: LogSink
    /// Asked for each event: a reload may have changed it.
    private let level: @Sendable () -> Logger.Level
    private var ownLevel: Logger.Level?
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    init(_ sink: LogSink, level: @escaping @Sendable () -> Logger.Level) { (self.sink, self.level) = (sink, level) }

    /// Set, it stays as it is.
    var logLevel: Logger.Level {
        get { ownLevel ?? level() }
        set { ownLevel = newValue }
    }

    subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let common = metadataProvider.map { metadata.merging($0.get()) { $1 } } ?? metadata
        sink.write(LogEntry(event, common))
    }
}
