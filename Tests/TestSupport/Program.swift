import Glibc
import GreenNet
import Synchronization
import Testing

/// A program of this package (or of the system) that runs beside the tests, seen from outside: its output, its exit status, the signals
/// that it gets, and what the kernel shows of it.
///
/// The caller of `init` must call `end()`, on every way out.
package final class Program: Sendable {
    package let pid: pid_t
    package let standardOutput: ProgramOutput
    package let standardError: ProgramOutput
    private let command: String
    private let exit = Mutex<Exit?>(nil)

    /// How a program ended.
    package typealias Exit = ChildProcess.Exit

    /// The program to start, and its surroundings.
    package struct Launch: Sendable {
        package var path: String
        package var arguments: [String]
        /// Changes to the tests' own environment; nil removes a variable.
        package var environment: [String: String?] = [:]
        /// Commands for a shell before it executes the program, such as `ulimit -n 30`.
        package var setup: String?
        /// Redirections of the program's descriptors by the shell, such as `2>&-`.
        package var redirections: String?
        /// The program's standard input; nil for none.
        package var input: Int32?
        /// The program's standard input, output and error.
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

    /// Starts the program with no descriptors but the standard ones, and with signals as a login shell leaves them.
    package init(_ launch: Launch) throws {
        do throws(SystemError) {
            var output = try GreenPipe()
            var error = try GreenPipe()
            let null = try Program.openNull()
            defer { close(null) }
            let terminal = launch.terminal
            pid = try Program.spawn(
                launch.words, launch.fullEnvironment,
                descriptors: [
                    launch.input ?? terminal ?? null, terminal ?? output.writing, terminal ?? error.writing,
                ])
            standardOutput = ProgramOutput(output.takeReading())
            standardError = ProgramOutput(error.takeReading())
        } catch {
            throw ProgramFailure(text: "\(launch.path) can't be started: \(error)")
        }
        command = launch.words.joined(separator: " ")
    }

    /// Runs the program to its end.
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

    /// Throws if the program still runs after `limit`; the error has all text of its standard error.
    @discardableResult
    package func waitForExit(within limit: Duration = .seconds(20)) throws -> Exit {
        let hasEnded = eventually(within: limit) {
            // The program may write more than a pipe holds.
            standardOutput.collect()
            standardError.collect()
            return self.hasEnded
        }
        guard hasEnded else { throw failure("still runs after \(limit)") }
        return collectExit()!
    }

    /// Kills the program if it runs, and closes the tests' ends of its pipes.  May be called again.
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

    /// An error for a test: the reason, the program, and the program's output.
    package func failure(_ text: String) -> ProgramFailure {
        let exit = collectExit().map { ", it has ended with \($0)" } ?? ""
        return ProgramFailure(
            text: "\(command) (process \(pid)\(exit)): \(text); on standard error:\n\(standardError.text)")
    }

    /// What the kernel shows of the program now.  Throws if the program has ended.
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

/// Describes what was wrong with a program.
package struct ProgramFailure: Error, CustomStringConvertible {
    package let text: String

    package init(text: String) { self.text = text }

    package var description: String { text }
}

// MARK: - Starting

extension Program.Launch {
    fileprivate var words: [String] {
        guard setup != nil || redirections != nil else { return [path] + arguments }
        let script = (setup.map { "\($0) && " } ?? "") + #"exec "$0" "$@" "# + (redirections ?? "")
        return ["/bin/sh", "-c", script, path] + arguments
    }

    /// The tests' environment, without variables that would configure the programs by accident.
    fileprivate var fullEnvironment: [String] {
        var variables: [String: String] = [:]
        for entry in ownEnvironment {
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
    /// Starts `words[0]`, which the caller reaps, with `descriptors` as 0, 1 and so on, and no others.  It ends with the tests, however they end.
    package static func spawn(
        _ words: [String], _ environment: [String], descriptors: [Int32]
    ) throws(SystemError) -> pid_t {
        var start = ProgramStart(words, environment: environment)
        start.streams = descriptors
        return try ProgramStarter.start(start)
    }

    private static func openNull() throws(SystemError) -> Int32 {
        let descriptor = open("/dev/null", O_RDWR | O_CLOEXEC)
        if descriptor < 0 { throw SystemError(errno) }
        return descriptor
    }
}
