import Glibc
import GreenNet
import Synchronization
import Testing

/// A program of this package (or of the system) that runs beside the tests, seen as others see it: by its output, its exit
/// status, the signals it is sent, and what the kernel tells of it.
///
/// Whoever starts one calls `end()`, on every way out.
package final class Program: Sendable {
    package let pid: pid_t
    package let standardOutput: ProgramOutput
    package let standardError: ProgramOutput
    private let command: String
    private let exit = Mutex<Exit?>(nil)

    /// How it ended.
    package enum Exit: Hashable, Sendable {
        case status(Int32)
        case signal(Int32)
    }

    /// What is to be started, and with what around it.
    package struct Launch: Sendable {
        package var path: String
        package var arguments: [String]
        /// Besides that of the tests; nil takes a variable away.
        package var environment: [String: String?] = [:]
        /// What a shell does before it becomes the program, such as `ulimit -n 30`.
        package var setup: String?
        /// What the shell does with the program's descriptors, such as `2>&-`.
        package var redirections: String?
        /// Taken as standard input; without it, there is none.
        package var input: Int32?
        /// Taken as standard input, output and error.
        package var terminal: Int32?

        package init(_ path: String, _ arguments: [String] = []) { (self.path, self.arguments) = (path, arguments) }
    }

    /// One of the package's own programs, such as `echo-server`, as it was built together with the tests.
    package static func built(_ name: String, _ arguments: [String] = []) throws -> Launch {
        let path = "\(productsDirectory)/\(name)"
        guard access(path, X_OK) == 0 else {
            throw ProgramFailure(text: "\(path) is not there: build it with the tests, by `swift build --build-tests`")
        }
        return Launch(path, arguments)
    }

    /// Debug, release and sanitized builds lie in different places; the tests are linked into a program that lies beside the others.
    static let productsDirectory: String = {
        let own = ProcessStatus.linkTarget("/proc/self/exe") ?? "?"
        return String(own[..<(own.lastIndex(of: "/") ?? own.startIndex)])
    }()

    /// Starts it with no descriptors but the standard ones, and with signals as a login shell has them.
    package init(_ launch: Launch) throws {
        let output = try Pipe()
        let error = try Pipe()
        let input = try launch.input ?? launch.terminal ?? Program.openNull()
        defer {
            output.closeWriting()
            error.closeWriting()
            if launch.input == nil && launch.terminal == nil { close(input) }
        }
        let words = launch.words
        pid = try Program.spawn(
            words, launch.fullEnvironment,
            descriptors: [input, launch.terminal ?? output.writing, launch.terminal ?? error.writing])
        command = words.joined(separator: " ")
        standardOutput = ProgramOutput(output.reading)
        standardError = ProgramOutput(error.reading)
    }

    /// Runs it to its end.
    package static func run(
        _ launch: Launch, within limit: Duration = .seconds(20)
    ) throws -> (exit: Exit, output: String, error: String) {
        let program = try Program(launch)
        defer { program.end() }
        let exit = try program.waitForExit(within: limit)
        return (exit, program.standardOutput.textToEnd(), program.standardError.textToEnd())
    }

    // MARK: Signals and the end

    package func send(_ signal: Int32) { if exit.withLock({ $0 }) == nil { kill(pid, signal) } }

    package var hasEnded: Bool { collectExit() != nil }

    /// Throws, with all it has written on standard error, where it still runs after `limit`.
    @discardableResult
    package func waitForExit(within limit: Duration = .seconds(20)) throws -> Exit {
        let hasEnded = eventually(within: limit) {
            // It may have more to say than a pipe holds.
            standardOutput.collect()
            standardError.collect()
            return self.hasEnded
        }
        guard hasEnded else { throw failure("still runs after \(limit)") }
        return collectExit()!
    }

    /// Kills it if it runs, and closes what the tests hold of it.  May be called again.
    package func end() {
        send(SIGKILL)
        _ = eventually { collectExit() != nil }
        standardOutput.close()
        standardError.close()
    }

    private func collectExit() -> Exit? {
        exit.withLock { exit in
            var status: Int32 = 0
            if exit == nil, waitpid(pid, &status, WNOHANG) == pid { exit = Exit(waitStatus: status) }
            return exit
        }
    }

    /// For an error of a test: what was the matter, with which program, and what that had to say.
    package func failure(_ text: String) -> ProgramFailure {
        let exit = collectExit().map { ", it has ended with \($0)" } ?? ""
        return ProgramFailure(
            text: "\(command) (process \(pid)\(exit)): \(text); on standard error:\n\(standardError.text)")
    }

    /// What the kernel tells of it now.  Throws where it has ended.
    package func status() throws -> ProcessStatus {
        guard !hasEnded, let status = ProcessStatus(pid) else { throw failure("has no status any more") }
        return status
    }

    // MARK: Waiting for output

    /// Waits for a whole line on standard error, and returns it.
    @discardableResult
    package func waitForLine(containing text: String, within limit: Duration = .seconds(20)) throws -> String {
        guard let line = standardError.waitForLine(containing: text, within: limit) else {
            throw failure("no line with '\(text)' within \(limit)")
        }
        return line
    }
}

/// Says all that is needed to see what was wrong with a program.
package struct ProgramFailure: Error, CustomStringConvertible {
    package let text: String

    package init(text: String) { self.text = text }

    package var description: String { text }
}

extension Program.Exit: CustomStringConvertible {
    /// As wait(2) has it: the signal in the low seven bits, else the status above them.
    fileprivate init(waitStatus: Int32) {
        let signal = waitStatus & 0x7f
        self = signal == 0 ? .status(waitStatus >> 8 & 0xff) : .signal(signal)
    }

    package var description: String {
        switch self {
        case .status(let number): "status \(number)"
        case .signal(let number): "signal \(number)"
        }
    }
}

// MARK: - Starting

extension Program.Launch {
    fileprivate var words: [String] {
        guard setup != nil || redirections != nil else { return [path] + arguments }
        let script = (setup.map { "\($0) && " } ?? "") + #"exec "$0" "$@" "# + (redirections ?? "")
        return ["/bin/sh", "-c", script, path] + arguments
    }

    /// That of the tests, without what would set up the programs by accident.
    fileprivate var fullEnvironment: [String] {
        let inherited = ProcessStatus.contents(of: "/proc/self/environ") ?? ""
        var variables: [String: String] = [:]
        for entry in inherited.split(separator: "\0") {
            let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            if parts.count < 2 || name.hasPrefix("ECHO_SERVER_") || name.hasPrefix("LIBEV_") { continue }
            variables[name] = String(parts[1])
        }
        for (name, option) in Sanitizer.programOptions {
            variables[name] = [variables[name], option].compactMap { $0 }.joined(separator: ":")
        }
        for (name, value) in environment { variables[name] = value }
        return variables.map { "\($0)=\($1)" }
    }
}

extension Program {
    /// Starts `words[0]`, of which the caller collects the end, with `descriptors` as 0, 1 and so on, no others, and signals as a login shell
    /// or a service manager leaves them, not as the tests' OS threads have them.
    package static func spawn(
        _ words: [String], _ environment: [String], descriptors: [Int32]
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // Copies beyond all of these numbers: one of the numbers might be another one's source.
        let copies = descriptors.map { fcntl($0, F_DUPFD_CLOEXEC, Int32(descriptors.count)) }
        defer { for copy in copies { close(copy) } }
        for (number, copy) in copies.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, copy, Int32(number))
        }
        // Whatever else the tests, or whoever started them, have open.
        for descriptor in ProcessStatus.numbers(in: "/proc/self/fd") where descriptor >= descriptors.count {
            posix_spawn_file_actions_addclose(&actions, descriptor)
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var pid = pid_t()
        let number = withCStrings(words) { words in
            withCStrings(environment) { environment in
                descriptorsInTheMaking.withLock { _ in
                    posix_spawn(&pid, words[0]!, &actions, &attributes, words, environment)
                }
            }
        }
        if number != 0 { throw ProgramFailure(text: "\(words[0]) can't be started: \(SystemError(number))") }
        return pid
    }

    private static func openNull() throws -> Int32 {
        let descriptor = open("/dev/null", O_RDWR | O_CLOEXEC)
        if descriptor < 0 { throw ProgramFailure(text: "/dev/null: \(SystemError(errno))") }
        return descriptor
    }

    private static func withCStrings<R>(
        _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> R
    ) -> R {
        var pointers = strings.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return pointers.withUnsafeMutableBufferPointer { body($0.baseAddress!) }
    }
}

/// Held by whoever makes descriptors that are only then marked to be closed on exec: a program that another OS thread starts at that
/// moment would have them.
private let descriptorsInTheMaking = Mutex(())

/// What a program writes into.
private struct Pipe {
    let reading: Int32
    let writing: Int32

    init() throws {
        let (made, ends) = descriptorsInTheMaking.withLock { _ in
            var ends: [Int32] = [-1, -1]
            let made = pipe(&ends)
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            return (made, ends)
        }
        guard made == 0 else { throw ProgramFailure(text: "pipe: no descriptors are left") }
        (reading, writing) = (ends[0], ends[1])
        // Only this end: the program's own is another one to the kernel, and stays blocking.
        _ = fcntl(reading, F_SETFL, O_NONBLOCK)
    }

    func closeWriting() { close(writing) }
}
