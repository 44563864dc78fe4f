import Glibc
import GreenNet

/// How the service stops after a first TERM or INT: the steps in their order, and how long the clients have after each.
///
/// The steps mean the same in every arrangement.  Whenever the last connection has ended, the service has stopped.
///
/// | step | hubs of this process | a child for each client | processes with hubs | processes of a pool |
/// | --- | --- | --- | --- | --- |
/// | drain | accept what the kernel has queued, close the listeners | are left alone | TERM: each drains its hubs | TERM: each ends after its client; the parent accepts what is queued |
/// | finish | each connection answers what it has received | QUIT: likewise | take this step themselves | QUIT: likewise |
/// | kill | each green thread is killed, each socket shut down | KILL | KILL | KILL |
///
/// A supervisor takes the steps as `Supervisor.stop`.  For its own hubs and their models, a process leaves them to `StreamServer.drain`.
/// With `--lame-duck`, the process that was started waits before the first step, in which all goes on: `ServiceState.lameDuck`.
/// A second TERM or INT ends everything at once: `ServiceState.endAtOnce`.
struct StopSequence: Sendable {
    enum Action: Sendable {
        /// Accept no further clients, and let the others finish.
        case drain
        /// Answer what has been received, and end each connection.
        case finish
        /// End what is left.
        case kill
    }

    struct Step: Sendable {
        let action: Action
        /// What the supervisor sends to each worker; nil where the workers take the step themselves.
        let signal: Int32?
        /// How long the workers have before the next step; nil for as long as it takes.
        let time: Duration?
    }

    let steps: [Step]

    /// For workers that have hubs.  Each measures the drain timeout itself and begins a moment later, so it gets more time to finish.
    static func hubProcesses(drainTimeout: Duration) -> StopSequence {
        StopSequence(steps: [
            Step(action: .drain, signal: SIGTERM, time: drainTimeout),
            Step(action: .finish, signal: nil, time: StreamServer.grace * 2),
            Step(action: .kill, signal: SIGKILL, time: nil),
        ])
    }

    /// For workers that block while they serve.
    static func poolProcesses(drainTimeout: Duration) -> StopSequence {
        StopSequence(steps: [
            Step(action: .drain, signal: SIGTERM, time: drainTimeout),
            Step(action: .finish, signal: ServingSignals.finish, time: StreamServer.grace),
            Step(action: .kill, signal: SIGKILL, time: nil),
        ])
    }

    /// A child that was asked to finish ends itself after this many seconds: its parent, which would kill it before, may have ended.
    static let secondsUntilChildEndsItself: UInt32 = 3

    /// How long stopping takes in any arrangement, at most.
    static func longest(drainTimeout: Duration) -> Duration { drainTimeout + StreamServer.grace * 3 }
}
