import Glibc
import GreenNet

/// Writes the records of connections of one hub, OS thread or process, and counts them.
///
/// On a hub, records are gathered, for `longestWait` at most.  The others, which block while they serve, write each at once.
struct RecordWriter {
    let records: RecordSink
    let live: LiveSettings
    let counters: CounterRow
    /// The name of the model.
    let model: String
    /// The process of the hub; nil without a hub.
    let hubProcess: pid_t?

    /// How long after its end the record of a connection is written, at the latest.
    static let longestWait = Duration.milliseconds(100)

    /// The one that serves.
    var process: pid_t { hubProcess ?? getpid() }

    func callAsFunction(_ record: ConnectionRecord) {
        noteReload()
        guard hubProcess != nil else { return counters.count(records.write(record)) }
        let (outcome, mustFlush) = records.gather(record)
        counters.count(outcome)
        if mustFlush { flushSoon() }
    }

    /// In a process that did not read the configuration itself, the file may be another one by now.
    private func noteReload() { _ = live.records }

    private func flushSoon() {
        let greenlet = spawn(isDaemon: true, name: Housekeeping.writeRecords.rawValue) { [self] in
            // Also where its hub closes before, and ends the wait.
            defer {
                noteReload()
                counters.count(records.flush())
            }
            try Greenlet.sleep(for: RecordWriter.longestWait)
        }
        // For want of memory it was never begun.
        if greenlet.hasEnded { counters.count(records.flush()) }
    }
}

extension CounterRow {
    func count(_ outcome: RecordSink.Outcome) {
        if outcome.written > 0 { add(outcome.written, to: .recordsWritten) }
        if outcome.dropped > 0 { add(outcome.dropped, to: .recordsDropped) }
    }
}
