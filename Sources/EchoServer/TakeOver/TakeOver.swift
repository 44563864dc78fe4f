import Glibc
import GreenNet

/// The listeners of an instance that has served until now, for this one.
final class TakeOver {
    let service: [ListeningSocket]
    let admin: [ListeningSocket]
    private let other: Connection
    /// Whether the other instance accepts no more.
    private(set) var isConfirmed = false

    private init(_ other: Connection, service: [ListeningSocket], admin: [ListeningSocket]) {
        (self.other, self.service, self.admin) = (other, service, admin)
    }

    /// Asks the instance that serves with `path`.  Nil where there is none.  Throws where there is one that does not give its listeners.
    static func ask(at path: String) throws(StartFailure) -> TakeOver? {
        do {
            return try askOther(at: path)
        } catch let error as NetError where [ENOENT, ECONNREFUSED].contains(error.errno?.code) {
            return nil
        } catch {
            throw StartFailure(.unavailable, "cannot take over at \(path): \(error)")
        }
    }

    /// Asks the instance that has started this one, over the socket that it has left open.
    static func ask(_ starter: Successor.Starter) throws(StartFailure) -> TakeOver {
        do {
            return try ask(
                Connection(descriptor: starter.descriptor, peer: .unix(path: "")), arePassed: starter.givesPassed)
        } catch {
            throw StartFailure(.unavailable, "cannot take over from the instance that has started this one: \(error)")
        }
    }

    private static func askOther(at path: String) throws -> TakeOver {
        try ask(
            Connection.connect(to: .unix(path: path), until: .after(TakeOverMessage.time)), arePassed: false)
    }

    /// `arePassed`: a service manager has passed the sockets to the first instance, and keeps them.
    private static func ask(_ other: Connection, arePassed: Bool) throws -> TakeOver {
        try other.send(.ask(version: TakeOverMessage.version))
        let (message, descriptors) = try other.receiveMessage(descriptors: Connection.mostDescriptors)
        do {
            let (service, admin) = try counts(message, descriptors)
            let sockets = try descriptors.map {
                try arePassed ? InheritedSocket.listener($0) : InheritedSocket.taken($0)
            }
            return TakeOver(
                other, service: Array(sockets[..<service]), admin: Array(sockets[service..<service + admin]))
        } catch {
            for descriptor in descriptors { _ = Glibc.close(descriptor) }
            throw error
        }
    }

    private static func counts(
        _ message: TakeOverMessage, _ descriptors: [Int32]
    ) throws(TakeOverProblem) -> (service: Int, admin: Int) {
        switch message {
        case .listeners(let service, let admin) where service + admin == descriptors.count: return (service, admin)
        case .listeners(let service, let admin):
            throw TakeOverProblem("\(descriptors.count) listeners came, not \(service + admin)")
        case .error(let reason): throw TakeOverProblem("it answers: \(reason.escaped)")
        default: throw TakeOverProblem("it answers '\(message.line)'")
        }
    }

    /// To be called when this instance accepts: the other one accepts no more, and drains.  Returns when it does.
    func confirm() throws {
        defer { other.close() }
        try other.send(.serving)
        let (message, _) = try other.receiveMessage()
        guard message == .draining else { throw TakeOverProblem("the other instance answers '\(message.line)'") }
        isConfirmed = true
    }
}
