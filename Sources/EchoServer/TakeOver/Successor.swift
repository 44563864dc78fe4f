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
        /// Whether a service manager has passed the listeners to that instance.
        let givesPassed: Bool
    }

    private static let descriptor: Int32 = 3
    private static let (passed, own) = ("passed", "own")
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
        guard [passed, own].contains(text) else {
            throw StartFailure(.configuration, "\(variable): '\(text)' is neither \(passed) nor \(own)")
        }
        return Starter(descriptor: descriptor, givesPassed: text == passed)
    }

    /// Starts it.  Returns its process and the socket to it.  Throws where there is no such file, say.
    func start(givesPassed: Bool) throws -> (process: pid_t, channel: Connection) {
        let (channel, other) = try Connection.pair()
        defer { other.close() }
        let mark = "\(Successor.variable)=\(givesPassed ? Successor.passed : Successor.own)"
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
