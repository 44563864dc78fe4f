import Synchronization

/// A record of events in their order, from several OS threads or after the end of one.
final class Trace: Sendable {
    private let state = Mutex<[String]>([])

    var lines: [String] { state.withLock { $0 } }

    func append(_ line: String) { state.withLock { $0.append(line) } }
}
