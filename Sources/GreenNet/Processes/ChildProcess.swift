import Glibc

/// Runs a program beside this one while `body` runs, and returns what that returns or throws what it throws.
///
/// No child outlives the call: one that still runs when `body` ends is killed, and in any case its end is collected.  `program` is looked up in PATH where it has no slash;
/// `arguments` are those after its name; `environment` takes the place of this process's where it is given.  Throws `ChildError` where the program can't be
/// started.  Callable from any green thread, in a process that does not collect others' children and does not ignore SIGCHLD.
@discardableResult
public func withChild<Value>(
    _ program: String, _ arguments: [String] = [], environment: [String: String]? = nil,
    _ body: (ChildProcess) throws -> Value
) throws -> Value {
    let child = try ChildProcess(program, arguments, environment)
    defer { child.end() }
    return try body(child)
}

/// A program that could not be started.
public struct ChildError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Its name or path, as it was asked for.
    public let program: String
    /// Why: ENOENT where there is none.
    public let errno: Errno

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
    private var exit: Exit?

    fileprivate init(_ program: String, _ arguments: [String], _ environment: [String: String]?) throws(ChildError) {
        let streams: [(own: Int32, child: Int32)]
        do throws(Errno) {
            streams = try ChildProcess.makeStreams()
        } catch {
            throw ChildError(program: program, errno: error)
        }
        let connections = streams.map { Connection(descriptor: $0.own, peer: .unix(path: "")) }
        (input, output, errorOutput) = (connections[0], connections[1], connections[2])
        defer { for stream in streams { SystemCalls.close(stream.child) } }
        do throws(Errno) {
            let words = [program] + arguments
            (pid, handle) = try ChildStart.start(words, environment, streams: streams.map(\.child))
        } catch {
            throw ChildError(program: program, errno: error)
        }
    }

    deinit { SystemCalls.close(handle) }

    private static func makeStreams() throws(Errno) -> [(own: Int32, child: Int32)] {
        var streams: [(own: Int32, child: Int32)] = []
        for _ in 0..<3 {
            do throws(Errno) {
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
        // Of several who wait, one is the first.
        let exit = exit ?? SystemCalls.collectChild(pid).map { Exit(status: $0) } ?? .unknown
        self.exit = exit
        return exit
    }

    fileprivate func end() {
        if exit == nil {
            send(SIGKILL)
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
    public static func run(
        _ program: String, _ arguments: [String] = [], environment: [String: String]? = nil, input bytes: [UInt8] = []
    ) throws -> (exit: Exit, output: [UInt8], errorOutput: [UInt8]) {
        try withChild(program, arguments, environment: environment) { child in
            try withGreenGroup { group in
                let output = group.spawn { try readAll(from: child.output) }
                let errorOutput = group.spawn { try readAll(from: child.errorOutput) }
                try write(bytes, to: child.input)
                return (try child.wait(), try output.value(), try errorOutput.value())
            }
        }
    }

    private static func readAll(from connection: Connection) throws(NetError) -> [UInt8] {
        var all: [UInt8] = []
        while let bytes = try connection.receive() { all += bytes }
        return all
    }

    /// A program need not read all of it.
    private static func write(_ bytes: [UInt8], to connection: Connection) throws(NetError) {
        do throws(NetError) { try connection.sendAll(bytes) } catch { guard error.isPeerGone else { throw error } }
        connection.close()
    }
}
