import Glibc

/// Runs a program beside this one while `body` runs, and returns what that returns or throws what it throws.
///
/// No child outlives the call: one that still runs when `body` ends is killed, and in any case its end is collected.  `program` is looked up in PATH where it has no slash;
/// `arguments` are those after its name; `environment` takes the place of this process's where it is given.  Throws `ChildError` where the program can't be
/// started.  Callable from any green thread, in a process that does not collect others' children and does not ignore SIGCHLD.
///
/// With `endsGroup`, the child begins a session and a process group of its own, and what it has started in that group ends with it: when its end is
/// collected, by `wait` or at the end of the call, the rest of the group gets SIGKILL.
///
/// - A process that leaves the group (a daemon, a job of an interactive shell) is not ended, and keeps open what it has inherited.
/// - The child has no terminal: it can't open `/dev/tty` to ask for a password (ENXIO), rather than being stopped as it reads in the background.
/// - A Ctrl-C at this program's terminal does not reach it.  A program that dies of a signal leaves it running: a `SignalWatcher` lets the calls end first.
@discardableResult
public func withChild<Value>(
    _ program: String, _ arguments: [String] = [], environment: [String: String]? = nil, endsGroup: Bool = false,
    _ body: (ChildProcess) throws -> Value
) throws -> Value {
    let child = try ChildProcess(program, arguments, environment, endsGroup)
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
/// Its three streams are socket pairs, which it uses like pipes; only to open `/dev/stdin` and the like anew is refused to it.
/// Belongs to the OS thread that made it.
public final class ChildProcess {
    /// How a program has ended.
    public enum Exit: Hashable, Sendable {
        /// By itself, with this number.
        case status(Int32)
        /// By this signal.
        case signal(Int32)
        /// Somebody else knows, who has collected it.
        case unknown
    }

    /// Its number, as the kernel has it.
    public let pid: Int32
    /// What it reads as standard input.  Closed, or `shutdownSending`, is the end of it.
    public let input: Connection
    /// What it writes to standard output.
    public let output: Connection
    /// What it writes to standard error.
    public let errorOutput: Connection

    /// Readable once it has ended.  Kept open until nobody can wait for it any more.
    private let handle: Int32
    private let endsGroup: Bool
    private var exit: Exit?

    fileprivate init(
        _ program: String, _ arguments: [String], _ environment: [String: String]?, _ endsGroup: Bool
    ) throws(ChildError) {
        self.endsGroup = endsGroup
        let streams: [(own: Int32, child: Int32)]
        do throws(SystemError) {
            streams = try ChildProcess.makeStreams()
        } catch {
            throw ChildError(program: program, errno: error)
        }
        let connections = streams.map { Connection(descriptor: $0.own, peer: .unix(path: "")) }
        (input, output, errorOutput) = (connections[0], connections[1], connections[2])
        defer { for stream in streams { SystemCalls.close(stream.child) } }
        do throws(SystemError) {
            let words = [program] + arguments
            (pid, handle) = try ChildStart.start(
                words, environment, streams: streams.map(\.child), inNewSession: endsGroup)
        } catch {
            throw ChildError(program: program, errno: error)
        }
    }

    deinit { SystemCalls.close(handle) }

    private static func makeStreams() throws(SystemError) -> [(own: Int32, child: Int32)] {
        var streams: [(own: Int32, child: Int32)] = []
        for _ in 0..<3 {
            do throws(SystemError) {
                streams.append(try SystemCalls.socketPair())
            } catch {
                for stream in streams { for end in [stream.own, stream.child] { SystemCalls.close(end) } }
                throw error
            }
        }
        return streams
    }

    /// Sends it a signal, unless its end was collected before.  Never waits.
    public func send(_ signal: Int32) { if exit == nil { SystemCalls.signal(pid, signal) } }

    /// Sends a signal to all of its process group, where it was started with `endsGroup`, and else to it alone; to no process once its end was collected.
    /// Never waits.
    public func sendToGroup(_ signal: Int32) {
        guard endsGroup else { return send(signal) }
        if exit == nil { SystemCalls.signalGroup(pid, signal) }
    }

    /// Waits until it has ended and says how; at once, where it has.  Throws `WaitError.deadlinePassed` where it runs on at `deadline`, and when killed or when
    /// an enclosing time limit is over.
    public func wait(until deadline: Deadline = .never) throws(WaitError) -> Exit {
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
        if endsGroup { sendToGroup(SIGKILL) }
        // Of several who wait, one is the first.
        let exit = exit ?? SystemCalls.collectChild(pid).map { Exit(status: $0) } ?? .unknown
        self.exit = exit
        return exit
    }

    fileprivate func end() {
        if exit == nil {
            sendToGroup(SIGKILL)
            // A kill of the caller must not leave it uncollected.
            do { _ = try shielded { try wait() } } catch { fatalError("GreenNet: child \(pid) doesn't end: \(error)") }
        }
        for stream in [input, output, errorOutput] { stream.close() }
    }
}

extension ChildProcess.Exit {
    /// As wait(2) has it: the signal in the low seven bits, else the number above them.
    fileprivate init(status: Int32) {
        let signal = status & 0x7f
        self = signal == 0 ? .status(status >> 8 & 0xff) : .signal(signal)
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
    /// What the program has started ends with it, unless `endsGroup` is false; `withChild` says how, and what that means at a terminal.  What such a process
    /// has written until then is returned.  With false, or where one has left the group, the call waits until the last that inherited the outputs has
    /// closed them.
    public static func run(
        _ program: String, _ arguments: [String] = [], environment: [String: String]? = nil, input bytes: [UInt8] = [],
        endsGroup: Bool = true
    ) throws -> (exit: Exit, output: [UInt8], errorOutput: [UInt8]) {
        try withChild(program, arguments, environment: environment, endsGroup: endsGroup) { child in
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
