import Glibc
import GreenNet

/// Gives the listeners of this instance to another one that asks for them.
///
/// Belongs to the hub of the process that was started.  One that asks and then does nothing keeps others waiting for `TakeOverMessage.time`.
final class TakeOverServer {
    private let listener: Listener
    /// A reload may change them.
    private let service: () -> [ListeningSocket]
    private let admin: [ListeningSocket]
    private let log: ServerLog
    /// Called once another instance serves: this one is to drain.
    private let whenTaken: () -> Void

    /// Listens at `path`, which the server's user alone can reach.
    init(
        at path: String, _ service: @escaping () -> [ListeningSocket], admin: [ListeningSocket], _ log: ServerLog,
        whenTaken: @escaping () -> Void
    ) throws(NetError) {
        let socket = try ListeningSocket(
            on: .unix(path: path), backlog: 16, permissions: UnixPermissions(mode: 0o600))
        listener = Listener(socket)
        (self.service, self.admin, self.log, self.whenTaken) = (service, admin, log, whenTaken)
    }

    /// On a green thread, until another instance has taken the listeners or this server is closed.
    func run() throws {
        while true {
            do throws(NetError) {
                let client = try listener.accept()
                defer { client.close() }
                if handOver(to: client) { return }
            } catch {
                if error.waitError != nil { return }
                // No descriptor is left, say.
                try Greenlet.sleep(for: .seconds(1))
            }
        }
    }

    /// Never waits.
    func close() { listener.close() }

    private func handOver(to client: Connection) -> Bool {
        do {
            try checkUser(client)
            try handOverListeners(to: client)
            return true
        } catch {
            log.notTakenOver(error)
            if error is TakeOverProblem { try? client.send(.error("\(error)")) }
            return false
        }
    }

    /// The path's mode may have been changed, and an abstract name has none.
    private func checkUser(_ client: Connection) throws {
        let user = try client.peerCredentials.uid
        if user == 0 || user == geteuid() { return }
        throw TakeOverProblem("user \(user) may not take over the listeners of user \(geteuid())")
    }

    private func handOverListeners(to client: Connection) throws {
        let question = try client.receiveMessage().message
        guard case .ask(let version) = question else { throw TakeOverProblem("'\(question.line)' is not expected") }
        guard version == TakeOverMessage.version else {
            throw TakeOverProblem(
                "version \(version) of the take-over is not supported; this instance has \(TakeOverMessage.version)")
        }
        let service = service()
        let descriptors = (service + admin).map(\.descriptor)
        guard descriptors.count <= Connection.mostDescriptors else {
            throw TakeOverProblem("\(descriptors.count) listeners are more than \(Connection.mostDescriptors)")
        }
        let answer = TakeOverMessage.listeners(service: service.count, admin: admin.count)
        try client.send(
            descriptors: descriptors, with: Array((answer.line + "\n").utf8), until: .after(TakeOverMessage.time))
        let reply = try client.receiveMessage().message
        guard reply == .serving else { throw TakeOverProblem("'\(reply.line)' is not expected") }
        // The path is free for the other instance once it hears of it.
        listener.close()
        whenTaken()
        try? client.send(.draining)
    }
}
