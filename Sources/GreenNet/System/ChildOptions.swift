import Glibc

extension ChildProcess {
    /// What a program is started with, besides its name and its arguments.
    public struct Options: Sendable {
        /// Its variables.
        public var environment: Environment
        /// What it reads as standard input.
        public var input: Stream
        /// Where its standard output goes.
        public var output: Stream
        /// Where its standard error goes.
        public var errorOutput: Stream
        /// The process group of the program.
        public var group: Group
        /// The signal that the kernel sends it when the OS thread that has started it ends, for whatever reason, SIGKILL included; nil for none.
        ///
        /// The kernel sends none to a program that is set-user-ID or has capabilities, nor to what the program has started.
        public var signalAtStartersEnd: Int32?

        /// What is not given is as for a shell's command, but for the three streams, which are connections to this program.
        public init(
            environment: Environment = .inherited, input: Stream = .connection, output: Stream = .connection,
            errorOutput: Stream = .connection, group: Group = .inherited, signalAtStartersEnd: Int32? = nil
        ) {
            (self.environment, self.group, self.signalAtStartersEnd) = (environment, group, signalAtStartersEnd)
            (self.input, self.output, self.errorOutput) = (input, output, errorOutput)
        }
    }

    /// The variables of a program.
    public enum Environment: Sendable {
        /// This process's.
        case inherited
        /// This process's, with these set, or removed where they are nil.
        case adding([String: String?])
        /// These alone.
        case only([String: String])
    }

    /// What one of a program's three standard streams is.
    public enum Stream: Hashable, Sendable {
        /// A socket pair, of which this program has the other end: `input`, `output` or `errorOutput`.  The program uses it like a pipe; only to open
        /// `/dev/stdin` and the like anew is refused to it.
        case connection
        /// This process's own.
        case inherited
        /// `/dev/null`.
        case null
        /// A descriptor of this process, a pipe's end or a file, say, of which the program gets a copy.  It stays the caller's to close.
        case descriptor(Int32)
    }

    /// The process group of a program, all of which gets the terminal's signals.
    public enum Group: Hashable, Sendable {
        /// This process's group: a Ctrl-C at the terminal is for both.
        case inherited
        /// A process group of its own.  A Ctrl-C at the terminal does not reach it.
        case own
        /// A process group of its own, in a session of its own, which has no terminal.
        case ownSession
    }
}

extension ChildProcess.Environment {
    /// As `NAME=VALUE`.
    var variables: [String] {
        switch self {
        case .inherited: ownEnvironment
        case .only(let variables): variables.map { "\($0)=\($1)" }
        case .adding(let changes):
            ownEnvironment.filter { changes[String($0.prefix { $0 != "=" })] == nil }
                + changes.compactMap { name, value in value.map { "\(name)=\($0)" } }
        }
    }
}

extension ProgramStart.Group {
    init(_ group: ChildProcess.Group) {
        switch group {
        case .inherited: self = .starters
        case .own: self = .own
        case .ownSession: self = .ownSession
        }
    }
}

/// The three streams of a program that is about to be started: what it gets, and what stays here.
struct ChildStreams {
    private(set) var connections: [Connection?] = []
    /// What the program gets, nil for what this process has.
    private(set) var childs: [Int32?] = []
    /// Of no use here once the program has them.
    private var toClose: [Int32] = []

    init(_ streams: [ChildProcess.Stream]) throws(SystemError) {
        for stream in streams {
            do throws(SystemError) {
                try add(stream)
            } catch {
                closeChilds()
                closeConnections()
                throw error
            }
        }
    }

    func closeChilds() { for descriptor in toClose { SystemCalls.close(descriptor) } }
    func closeConnections() { for connection in connections { connection?.close() } }

    private mutating func add(_ stream: ChildProcess.Stream) throws(SystemError) {
        switch stream {
        case .connection:
            let ends = try SystemCalls.socketPair()
            append(ends.child, isOwn: true, Connection(descriptor: ends.own, peer: .unix(path: "")))
        case .inherited: append(nil)
        case .descriptor(let number): append(number)
        case .null:
            let null = SystemCalls.openNull()
            if null < 0 { throw SystemError(Int32(-null)) }
            append(Int32(null), isOwn: true)
        }
    }

    private mutating func append(_ child: Int32?, isOwn: Bool = false, _ connection: Connection? = nil) {
        childs.append(child)
        connections.append(connection)
        if let child, isOwn { toClose.append(child) }
    }
}
