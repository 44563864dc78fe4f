import Glibc
import GreenNet

/// Gives the listeners of this instance to another one that asks for them.
///
/// Belongs to the hub of the process that was started.  One that asks and then does nothing keeps others waiting for `TakeOverMessage.time`.
final class TakeOverServer {
    private let listener: Listener
    private let handOver: HandOver
    private let log: ServerLog

    /// Listens at `path`, which the server's user alone can reach.  The path is to be closed when another instance has taken the listeners.
    init(at path: String, _ handOver: HandOver, _ log: ServerLog) throws(NetError) {
        let socket = try ListeningSocket(
            on: .unix(path: path), backlog: 16, permissions: UnixPermissions(mode: 0o600))
        listener = Listener(socket)
        (self.handOver, self.log) = (handOver, log)
    }

    /// On a green thread, until another instance has taken the listeners or this server is closed.
    func run() throws {
        while true {
            do throws(NetError) {
                let client = try listener.accept()
                defer { client.close() }
                if give(to: client) { return }
            } catch {
                if error.waitError != nil { return }
                // No descriptor is left, say.
                try Greenlet.sleep(for: .seconds(1))
            }
        }
    }

    /// Never waits.
    func close() { listener.close() }

    private func give(to client: Connection) -> Bool {
        do {
            try checkUser(client)
            try handOver.give(to: client)
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
}
