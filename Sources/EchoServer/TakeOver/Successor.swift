import Glibc
import GreenNet
import ProgramKit

/// The instance that follows this one on USR2: this program, from the file that lies at its path now, with the same arguments and environment.
///
/// It gets a socket to this instance as descriptor 3, over which it asks for the listeners.
struct Successor {
    /// Where this program was started from; the file there may be another one by now.
    private let path: String
    private let arguments: [String]
    private let environment: [String]

    /// The socket to the instance that has started this one.
    struct Starter {
        let descriptor: Int32
        let passed: Passed
    }

    /// Which listeners a service manager has passed to an instance, and keeps.
    struct Passed: Equatable {
        var service = false
        var admin = false

        /// As the variable has it.
        var word: String { service ? admin ? "both" : "service" : admin ? "admin" : "none" }

        static let all = [false, true].flatMap { service in [false, true].map { Passed(service: service, admin: $0) } }
    }

    private static let descriptor: Int32 = 3
    static let variable = "ECHO_SERVER_SUCCEEDS"

    /// To be called when the program starts.  `variables` are those that a service manager has set for this process alone.
    init(_ variables: ManagerVariables) throws(StartFailure) {
        do throws(ProgramArguments.NotText) {
            arguments = try ProgramArguments.texts()
        } catch {
            throw StartFailure(.usage, "\(error)")
        }
        (path, environment) = (ProgramArguments.path, ownEnvironment + variables.ofSuccessor)
    }

    /// The instance that has started this one; nil where none has.
    static func starter(_ variables: ManagerVariables) throws(StartFailure) -> Starter? {
        guard let text = variables[variable] else { return nil }
        guard let passed = Passed.all.first(where: { $0.word == text }) else {
            throw StartFailure(.configuration, "\(variable): '\(text)' is not none, service, admin or both")
        }
        return Starter(descriptor: descriptor, passed: passed)
    }

    /// Starts it.  Returns its process and the socket to it.  Throws where there is no such file, say.
    func start(_ passed: Passed) throws -> (process: pid_t, channel: Connection) {
        let (channel, other) = try Connection.pair()
        defer { other.close() }
        let mark = "\(Successor.variable)=\(passed.word)"
        var start = ProgramStart([path] + arguments, environment: environment + [mark])
        do {
            start.streams = [nil, nil, nil, try other.withDescriptor { $0 }]
            return (try start.start(), channel)
        } catch {
            channel.close()
            throw TakeOverProblem("cannot start \(path.escaped): \(error)")
        }
    }
}
