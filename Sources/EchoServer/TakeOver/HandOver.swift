import Glibc
import GreenNet

/// Gives the listeners of this instance to another one, over a connection to it.
struct HandOver {
    /// A reload may change them.
    let service: () -> [ListeningSocket]
    let admin: [ListeningSocket]
    /// Why this instance gives nothing now; nil where it does.
    let refusal: () -> String?
    /// Called once the other instance serves, with its process where this one has started it: this one is to drain.
    let whenTaken: (pid_t?) -> Void

    /// Waits for the other instance's question, and until it serves.  Throws where it does not come to that: this instance goes on then.
    func give(to other: Connection, process: pid_t? = nil) throws {
        let question = try other.receiveMessage().message
        guard case .ask(let version) = question else { throw TakeOverProblem("'\(question.line)' is not expected") }
        guard version == TakeOverMessage.version else {
            throw TakeOverProblem(
                "version \(version) of the take-over is not supported; this instance has \(TakeOverMessage.version)")
        }
        try refuseIfStopping()
        let service = service()
        let descriptors = (service + admin).map(\.descriptor)
        guard descriptors.count <= Connection.mostDescriptors else {
            throw TakeOverProblem("\(descriptors.count) listeners are more than \(Connection.mostDescriptors)")
        }
        let answer = TakeOverMessage.listeners(service: service.count, admin: admin.count)
        try other.send(
            descriptors: descriptors, with: Array((answer.line + "\n").utf8), until: .after(TakeOverMessage.time))
        let reply = try other.receiveMessage().message
        guard reply == .serving else { throw TakeOverProblem("'\(reply.line)' is not expected") }
        try refuseIfStopping()
        whenTaken(process)
        try? other.send(.draining)
    }

    /// Its sockets may be closed, and a stop is meant for the service, not for this instance alone.
    private func refuseIfStopping() throws { if let reason = refusal() { throw TakeOverProblem(reason) } }
}
