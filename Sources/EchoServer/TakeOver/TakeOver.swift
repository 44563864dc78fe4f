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

    /// Asks the instance that serves with `path`.  Nil where there is none.  Throws where there is one that does not give its listeners, and where none
    /// can ever be.
    ///
    /// One that hangs up may have given them to a third instance, which was faster: that one is asked then, as soon as it can be.
    static func ask(at path: String) throws(StartFailure) -> TakeOver? {
        try check(path)
        let end = Deadline.after(TakeOverMessage.time)
        var hasHungUp = false
        while true {
            do {
                return try askOther(at: path, until: end)
            } catch let error as NetError where [ENOENT, ECONNREFUSED].contains(error.errno?.code) {
                if !hasHungUp { return nil }
            } catch let error as NetError where error.errno?.code == ECONNRESET {
                hasHungUp = true
            } catch let problem as TakeOverProblem where problem == .hungUp {
                hasHungUp = true
            } catch {
                throw failure(path, "\(error)")
            }
            if (try? Greenlet.sleep(until: min(end, .after(.milliseconds(50))))) == nil || end.hasPassed {
                throw failure(path, "the instance there hung up, and no other one followed within \(time)")
            }
        }
    }

    /// The other instance has not let go of its listeners.
    struct Refused: Error, CustomStringConvertible {
        let answer: String
        var description: String { "the other instance answers '\(answer)'" }
    }

    private static let time = "\(TakeOverMessage.time / .seconds(1)) s"

    private static func failure(_ path: String, _ reason: String) -> StartFailure {
        StartFailure(.unavailable, "cannot take over at \(path): \(reason)")
    }

    /// Throws where no instance can listen at `path`.
    static func check(_ path: String) throws(StartFailure) {
        do throws(NetError) { try ListeningProbe.checkPath(.unix(path: path)) } catch {
            throw StartFailure(.configuration, "take-over: \(error)")
        }
    }

    /// Asks the instance that has started this one, over the socket that it has left open.
    static func ask(_ starter: Successor.Starter) throws(StartFailure) -> TakeOver {
        do {
            return try ask(
                Connection(descriptor: starter.descriptor, peer: .unix(path: "")), starter.passed)
        } catch {
            throw StartFailure(.unavailable, "cannot take over from the instance that has started this one: \(error)")
        }
    }

    private static func askOther(at path: String, until end: Deadline) throws -> TakeOver {
        do {
            return try ask(Connection.connect(to: .unix(path: path), until: end), Successor.Passed())
        } catch let error as NetError where error.waitError == .deadlinePassed {
            throw TakeOverProblem("nothing came from the instance there within \(time)")
        }
    }

    /// `passed`: those that a service manager has passed to the first instance, and keeps.
    private static func ask(_ other: Connection, _ passed: Successor.Passed) throws -> TakeOver {
        try other.send(.ask(version: TakeOverMessage.version))
        let (message, descriptors) = try other.receiveMessage(descriptors: Connection.mostDescriptors)
        do {
            let (service, admin) = try counts(message, descriptors)
            func sockets(_ range: Range<Int>, arePassed: Bool) throws -> [ListeningSocket] {
                try descriptors[range].map {
                    try arePassed ? InheritedSocket.listener($0) : InheritedSocket.taken($0)
                }
            }
            return TakeOver(
                other, service: try sockets(0..<service, arePassed: passed.service),
                admin: try sockets(service..<service + admin, arePassed: passed.admin))
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
        guard message == .draining else { throw Refused(answer: message.line) }
        isConfirmed = true
    }
}
