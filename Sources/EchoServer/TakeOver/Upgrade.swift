import Glibc
import GreenNet

/// USR2: another instance of this program takes the listeners, and this one drains.  Where the other does not come to serve, this one goes on.
///
/// Belongs to the hub of the process that was started.
final class Upgrade {
    private let successor: Successor
    private let handOver: HandOver
    private let givesPassed: Bool
    private let log: ServerLog
    private var isUnderWay = false

    init(_ successor: Successor, _ handOver: HandOver, givesPassed: Bool, _ log: ServerLog) {
        (self.successor, self.handOver, self.givesPassed, self.log) = (successor, handOver, givesPassed, log)
    }

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
            let (process, channel) = try successor.start(givesPassed: givesPassed)
            defer { channel.close() }
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
