import Glibc
import GreenNet

/// USR2: another instance of this program takes the listeners, and this one drains.  Where the other does not come to serve, this one goes on.
///
/// Belongs to the hub of the process that was started.
final class Upgrade {
    private let successor: Successor
    private let handOver: HandOver
    private let passed: Successor.Passed
    private let log: ServerLog
    private var isUnderWay = false
    /// The process that was started and has not taken over yet.
    private var started: pid_t?

    init(_ successor: Successor, _ handOver: HandOver, _ passed: Successor.Passed, _ log: ServerLog) {
        (self.successor, self.handOver, self.passed, self.log) = (successor, handOver, passed, log)
    }

    /// This instance stops: the one that was to follow it ends too.  Never waits.
    func cancel() { if let started { kill(started, SIGTERM) } }

    /// Never waits: a green thread does the rest.
    func begin() {
        if isUnderWay { return log.isUpgrading() }
        isUnderWay = true
        spawn(.upgrade) { [self] in
            run()
            isUnderWay = false
        }
    }

    private func run() {
        do {
            let (process, channel) = try successor.start(passed)
            started = process
            defer {
                started = nil
                channel.close()
            }
            log.upgrading(process)
            do { try handOver.give(to: channel, process: process) } catch {
                if error is TakeOverProblem { try? channel.send(.error("\(error)")) }
                channel.close()
                end(process)
                throw error
            }
        } catch {
            log.notTakenOver(error)
        }
    }

    /// One that still runs serves no client.  Its end is collected here, or where other children's are.
    private func end(_ process: pid_t) {
        for signal in [0, SIGTERM, SIGKILL] {
            if signal != 0 { kill(process, signal) }
            let end = Deadline.after(.seconds(2))
            while !end.hasPassed {
                if waitpid(process, nil, WNOHANG) != 0 { return }
                guard (try? Greenlet.sleep(for: .milliseconds(10))) != nil else { return }
            }
        }
    }
}
