import Glibc
import GreenNet
import Synchronization
import Testing

/// A program of this package (or of the system) that runs beside the tests, seen from outside: its output, its exit status, the signals
/// that it gets, and what the kernel shows of it.
///
/// The caller of `init` calls `end()`, on every way out.
package final class Program: Sendable {
    package let pid: pid_t
    package let standardOutput: ProgramOutput
    package let standardError: ProgramOutput
    private let command: String
    private let exit = Mutex<Exit?>(nil)

    /// How it ended.
    package typealias Exit = ChildProcess.Exit

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

// MARK: - Starting

extension Program.Launch {
    fileprivate var words: [String] {
        guard setup != nil || redirections != nil else { return [path] + arguments }
        let script = (setup.map { "\($0) && " } ?? "") + #"exec "$0" "$@" "# + (redirections ?? "")
        return ["/bin/sh", "-c", script, path] + arguments
    }

    /// That of the tests, without what would set up the programs by accident.
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
    /// Starts `words[0]`, of which the caller collects the end, with `descriptors` as 0, 1 and so on, and no others.
    package static func spawn(
        _ words: [String], _ environment: [String], descriptors: [Int32]
    ) throws(SystemError) -> pid_t {
        var start = ProgramStart(words, environment: environment)
        start.streams = descriptors
        return try start.start()
    }

    private static func openNull() throws(SystemError) -> Int32 {
        let descriptor = open("/dev/null", O_RDWR | O_CLOEXEC)
        if descriptor < 0 { throw SystemError(errno) }
        return descriptor
    }
}
