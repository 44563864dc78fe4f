import Synchronization

/// Work with files on an OS thread of `Hub.offload`, of which the caller knows how it has ended: a kill or a deadline asks it to stop, and the caller goes on
/// when it has.
final class FileWork: Sendable {
    /// What a caller gets that has asked it to stop.
    struct Stopped: Error {}

    private enum Stage {
        case queued, running, stopping
    }

    private let stage = Mutex(Stage.queued)

    /// Whether the caller has asked it to stop.  Work that can is to throw `Stopped` then.
    var isStopping: Bool { stage.withLock { $0 == .stopping } }

    func throwIfStopping() throws(Stopped) { if isStopping { throw Stopped() } }

    /// Runs `body` and returns what it returns or throws what it throws.
    ///
    /// Throws `WaitError` where the caller was killed, or its time was over, and `body` has not begun or has stopped.  Where it was too late to stop, returns as
    /// usual: the next wait of the caller throws.
    static func run<Value: Sendable>(
        until deadline: Deadline, _ body: @escaping @Sendable (FileWork) throws -> Value
    ) throws -> Value {
        let work = FileWork()
        let result = RemoteResult<Value>()
        do {
            return try Hub.current.offload(until: deadline) {
                guard work.begin() else { throw Stopped() }
                let outcome = Result { try body(work) }
                result.give(outcome)
                return try outcome.get()
            }
        } catch let error as WaitError {
            guard work.stop() else { throw error }
            let outcome = try shielded { try result.outcome() }
            if case .failure(is Stopped) = outcome { throw error }
            return try outcome.get()
        }
    }

    /// False where it was asked to stop before.
    private func begin() -> Bool {
        stage.withLock { stage in
            guard stage == .queued else { return false }
            stage = .running
            return true
        }
    }

    /// Whether it has begun.
    private func stop() -> Bool {
        stage.withLock { stage in
            defer { stage = .stopping }
            return stage == .running
        }
    }
}

extension RemoteResult {
    /// Waits until it is set.
    fileprivate func outcome() throws -> Result<Value, any Error> {
        guard try wait() else { throw WaitError.deadlinePassed }
        return result!
    }
}
