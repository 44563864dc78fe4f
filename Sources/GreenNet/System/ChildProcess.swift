import Glibc

/// Runs a program beside this one while `body` runs, and returns what that returns or throws what it throws.
///
/// No child outlives the call: one that still runs when `body` ends is killed, and in any case its end is collected.  `program` is looked up in PATH where it has
/// no slash; `arguments` are those after its name.  It has no descriptor of this process but its three streams, and no signal blocked or ignored.  Throws
/// `ChildError` where the program can't be started.  Callable from any green thread, in a process that does not collect others' children and does not ignore
/// SIGCHLD.
///
/// In a group of its own (`ChildProcess.Options.group`), what the child has started in that group ends with it: when its end is collected, by `wait` or at the
/// end of the call, the rest of the group gets SIGKILL.
///
/// - A process that leaves the group (a daemon, a job of an interactive shell) is not ended, and keeps open what it has inherited.
/// - In a session of its own the child has no terminal: it can't open `/dev/tty` to ask for a password (ENXIO), rather than being stopped as it reads in the
///   background.
/// - A Ctrl-C at this program's terminal does not reach it.  A program that dies of a signal leaves it running: a `SignalWatcher` lets the calls end first, or
///   `signalAtStartersEnd` ends it.
@available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
@discardableResult
public func withChild<Value>(
    _ program: String, _ arguments: [String] = [], options: ChildProcess.Options = .init(),
    _ body: (ChildProcess) throws -> Value
) throws -> Value {
    let child = try ChildProcess(program, arguments, options)
    defer { child.end() }
    return try body(child)
}

/// A program that could not be started.
public struct ChildError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Its name or path, as it was asked for.
    public let program: String
    /// Why: ENOENT where there is none.
    public let errno: SystemError

    /// As in `cannot start no-such-program: no such file or directory (ENOENT)`.
    public var description: String { "cannot start \(program.escaped): \(errno)" }
}

/// A running program, and what it reads and writes.  `withChild` makes it.
///
/// Belongs to the OS thread that made it.
public final class ChildProcess: HubObject {
    /// Its number, as the kernel has it.
    public let pid: Int32
    /// What it reads as standard input.  Closed, or `shutdownSending`, is the end of it.  It must have been started with `input` as a connection.
    public var input: Connection { connection(0, "input") }
    /// What it writes to standard output.  It must have been started with `output` as a connection.
    public var output: Connection { connection(1, "output") }
    /// What it writes to standard error.  It must have been started with `errorOutput` as a connection.
    public var errorOutput: Connection { connection(2, "errorOutput") }

    /// This end of each stream that is a connection.
    private let connections: [Connection?]
    /// Readable once the child has ended.  Kept open until no call can wait for it any more.
    private let handle: Int32
    private let hasOwnGroup: Bool
    var owner = Owner()
    private var exit: Exit?

    /// The caller ends it, on every way out.
    package init(_ program: String, _ arguments: [String], _ options: Options) throws(ChildError) {
        hasOwnGroup = options.group != .inherited
        do throws(SystemError) {
            let streams = try ChildStreams([options.input, options.output, options.errorOutput])
            defer { streams.closeChilds() }
            connections = streams.connections
            do throws(SystemError) {
                (pid, handle) = try ChildProcess.start(program, arguments, options, streams.childs)
            } catch {
                streams.closeConnections()
                throw error
            }
        } catch {
            throw ChildError(program: program, errno: error)
        }
    }

    deinit { SystemCalls.close(handle) }

    private static func start(
        _ program: String, _ arguments: [String], _ options: Options, _ streams: [Int32?]
    ) throws(SystemError) -> (pid: pid_t, handle: Int32) {
        var start = ProgramStart([program] + arguments, environment: options.environment.variables)
        start.streams = streams
        start.signalAtStartersEnd = options.signalAtStartersEnd
        start.group = ProgramStart.Group(options.group)
        let pid = try start.start()
        let handle = SystemCalls.processHandle(pid)
        if handle >= 0 { return (pid, Int32(handle)) }
        SystemCalls.signal(pid, SIGKILL)
        _ = SystemCalls.collectChild(pid)
        throw SystemError(Int32(-handle))
    }

    private func connection(_ number: Int, _ name: String) -> Connection {
        guard let connection = connections[number] else {
            programmingError("the \(name) of child \(pid) is not a connection: see ChildProcess.Options")
        }
        return connection
    }

    /// Sends it a signal, unless its end was collected before.  Never waits.
    public func send(_ signal: Int32) {
        checkOwner()
        if exit == nil { SystemCalls.signal(pid, signal) }
    }

    /// Sends a signal to all of its process group, where it has one of its own, and else to it alone; to no process once its end was collected.  Never waits.
    public func sendToGroup(_ signal: Int32) {
        guard hasOwnGroup else { return send(signal) }
        if exit == nil { SystemCalls.signalGroup(pid, signal) }
    }

    /// Waits until it has ended and says how; at once, where it has.  Throws `WaitError.deadlinePassed` where it runs on at `deadline`, and when killed or when
    /// an enclosing time limit is over.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func wait(until deadline: Deadline = .never) throws(WaitError) -> Exit {
        checkOwner()
        if let exit { return exit }
        do throws(NetError) {
            try BorrowedDescriptor(handle).waitUntilReadable(until: deadline)
        } catch {
            throw error.waitError!
        }
        return collect()
    }

    /// Once it has ended.
    private func collect() -> Exit {
        // Before its number is free for another group.  No member escapes by a fork under way: the kernel lets none finish with a signal pending.
        if hasOwnGroup { sendToGroup(SIGKILL) }
        // Of several who wait, one is the first.
        let exit = exit ?? SystemCalls.collectChild(pid).map { Exit(waitStatus: $0) } ?? .unknown
        self.exit = exit
        return exit
    }

    /// Kills it where it runs on, with its group where that is its own, collects its end, and closes what this process holds of it.
    package func end() {
        if exit == nil {
            sendToGroup(SIGKILL)
            // A kill of the caller must not leave it uncollected.
            do { _ = try shielded { try wait() } } catch { fatalError("GreenNet: child \(pid) doesn't end: \(error)") }
        }
        for connection in connections { connection?.close() }
    }
}

@available(*, unavailable)
extension ChildProcess: Sendable {}

// MARK: - From beginning to end

extension ChildProcess {
    /// Runs a program to its end: gives it `bytes` to read, and returns how it has ended, with all that it has written to standard output and standard error.
    ///
    /// Throws as `withChild` does, and `WaitError` where the caller is killed or its time is over, when the program was killed too.
    ///
    /// In a group of its own, what the program has started ends with it; `withChild` says how, and what
    /// that means at a terminal.  What such a process has written until then is returned.  In this process's group, or where one has left the group, the call
    /// waits until the last that inherited the outputs has closed them.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public static func run(
        _ program: String, _ arguments: [String] = [], environment: Environment = .inherited, input bytes: [UInt8] = [],
        group: Group = .ownSession
    ) throws -> (exit: Exit, output: [UInt8], errorOutput: [UInt8]) {
        try withChild(program, arguments, options: Options(environment: environment, group: group)) { child in
            try withGreenGroup { group in
                let output = group.spawn { try child.output.receiveAll() }
                let errorOutput = group.spawn { try child.errorOutput.receiveAll() }
                // Beside the wait: what the program has started may hold its input, and never read.
                group.spawn { try write(bytes, to: child.input) }
                return (try child.wait(), try output.value(), try errorOutput.value())
            }
        }
    }

    /// A program need not read all of it.
    private static func write(_ bytes: [UInt8], to connection: Connection) throws(NetError) {
        do throws(NetError) { try connection.sendAll(bytes) } catch { guard error.isPeerGone else { throw error } }
        connection.close()
    }
}
