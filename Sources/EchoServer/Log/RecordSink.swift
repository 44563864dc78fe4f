import Glibc
import GreenNet
import Synchronization

/// Writes records of connections.  What is not taken at once is dropped, and counted.
///
/// A record is written at once, or gathered: kept until there are enough for a system call, or until `flush`.  A record for a socket is a datagram, and
/// is sent at once: many at a time would find no room in the queue of their reader.
///
/// Any OS thread may call it.  A forked process opens the place for itself, since its other descriptors are closed; its parent has gathered nothing by then.
final class RecordSink: Sendable {
    private let place: RecordPlace
    private let state: Mutex<State>

    /// What became of records.
    struct Outcome: Equatable {
        var written = 0
        var dropped = 0
    }

    private struct State {
        /// Of the process that has opened it.
        var output: Output?
        let lines = RecordLines()
        /// The file is to be opened anew before the next line.
        var isOld = false
        var gathers = true
        /// A caller of `gather` was asked for a `flush` that has not come yet.
        var isFlushDue = false
        /// Since a caller was told.
        var outcome = Outcome()
    }

    private struct Output {
        let process = getpid()
        let descriptor: Int32
        let lossy: LossyOutput

        init(_ descriptor: Int32) { (self.descriptor, lossy) = (descriptor, LossyOutput(descriptor)) }
    }

    /// Throws where the file can't be opened: without it the service would not do what it was asked for.
    init(_ place: RecordPlace) throws(StartFailure) {
        self.place = place
        let output: Output
        do throws(SystemError) { output = Output(try place.open()) } catch { throw RecordSink.failure(place, error) }
        state = Mutex(State(output: output))
    }

    /// For a process that follows another one, which has opened it.
    init(openingLater place: RecordPlace) {
        self.place = place
        state = Mutex(State())
    }

    deinit {
        withState { state in
            writeOut(&state)
            if let output = state.output, output.process == getpid() { close(output.descriptor) }
        }
    }

    private static func failure(_ place: RecordPlace, _ error: SystemError) -> StartFailure {
        StartFailure(
            [EACCES, EPERM, EROFS].contains(error.code) ? .permission : .configuration,
            "record: cannot open \(place): \(error)")
    }

    /// Throws what opening `place` would, and makes nothing.
    static func check(_ place: RecordPlace) throws(StartFailure) {
        do throws(SystemError) { try place.check() } catch { throw failure(place, error) }
    }

    // MARK: - Records

    /// Writes `record`, behind those that were gathered.
    func write(_ record: ConnectionRecord) -> Outcome {
        withState { state in
            state.lines.append(record)
            writeOut(&state)
            return takeOutcome(&state)
        }
    }

    /// Keeps `record`, or writes it where enough are there.  Where `mustFlush` is true, the caller calls `flush` soon.
    func gather(_ record: ConnectionRecord) -> (outcome: Outcome, mustFlush: Bool) {
        withState { state in
            state.lines.append(record)
            if place.isSocket || !state.gathers || state.lines.isEnough { writeOut(&state) }
            let mustFlush = state.lines.count > 0 && !state.isFlushDue
            if mustFlush { state.isFlushDue = true }
            return (takeOutcome(&state), mustFlush)
        }
    }

    /// Writes what was gathered.
    func flush() -> Outcome {
        withState { state in
            state.isFlushDue = false
            writeOut(&state)
            return takeOutcome(&state)
        }
    }

    /// Writes what was gathered, and from now on each record at once.  The next call to another function returns what became of them.
    func stopGathering() {
        withState { state in
            state.gathers = false
            writeOut(&state)
        }
    }

    /// Writes what was gathered, and opens the file anew: another program may have renamed it, and its space is free only when no process has it open.  A
    /// forked process does so for itself, before its next record.
    func reopen() {
        withState { state in
            writeOut(&state)
            state.isOld = true
            if state.output?.process == getpid() { _ = current(&state) }
        }
    }

    private func withState<Value>(_ body: (inout State) -> Value) -> Value {
        state.withLock { state in Sanitizer.locked(self) { body(&state) } }
    }

    private func takeOutcome(_ state: inout State) -> Outcome {
        defer { state.outcome = Outcome() }
        return state.outcome
    }

    // MARK: - Writing

    private func writeOut(_ state: inout State) {
        let count = state.lines.count
        if count == 0 { return }
        let written = written(&state)
        state.outcome.written += written
        state.outcome.dropped += count - written
    }

    private func written(_ state: inout State) -> Int {
        guard let output = current(&state) else { return state.lines.take { _ in 0 } }
        switch place {
        case .file: return state.lines.take(upTo: output.lossy.mostAtOnce) { output.lossy.write($0) }
        case .socket(let path):
            let socket = DatagramSocket(descriptor: output.descriptor)
            return state.lines.take { bytes in
                (try? socket.send(bytes, to: .unix(path: path))) == nil ? 0 : bytes.count
            }
        }
    }

    /// Nil where it cannot be opened.
    private func current(_ state: inout State) -> Output? {
        if state.isOld, let new = try? place.open() {
            if let old = state.output, old.process == getpid() { close(old.descriptor) }
            (state.output, state.isOld) = (Output(new), false)
            state.lines.beginFile()
        }
        // Otherwise the old one is written to until the new one can be had.
        if state.output?.process != getpid() { state.output = (try? place.open()).map { Output($0) } }
        return state.output
    }
}

extension RecordPlace {
    fileprivate var isSocket: Bool { if case .socket = self { true } else { false } }

    fileprivate func open() throws(SystemError) -> Int32 {
        switch self {
        case .file(let path): try RecordPlace.open(path)
        case .socket: try DatagramSocket().descriptor
        }
    }

    fileprivate func check() throws(SystemError) {
        guard case .file(let path) = self else { return }
        if access(path, F_OK) == 0 {
            close(try RecordPlace.open(path, makes: false))
        } else if access(path.contains("/") ? path.withoutLastPart : ".", W_OK | X_OK) != 0 {
            throw SystemError(errno)
        }
    }

    /// A named pipe without a reader would make a plain opening wait; for reading and writing, it does not.
    private static func open(_ path: String, makes: Bool = true) throws(SystemError) -> Int32 {
        var status = stat()
        let isPipe = stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
        let way = isPipe ? O_RDWR : O_WRONLY | O_APPEND | (makes ? O_CREAT : 0)
        let number = Glibc.open(path, way | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0o640)
        if number < 0 { throw SystemError(errno) }
        return number
    }
}

extension String {
    /// The directory of a path, as in `/var/log/` of `/var/log/records`.
    fileprivate var withoutLastPart: String { String(self[...lastIndex(of: "/")!]) }
}
