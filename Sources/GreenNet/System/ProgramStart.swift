import Glibc

/// A program that is started to end with this one, whatever ends this one: a signal, a crash, SIGKILL.
package struct ProgramStart {
    /// The program's name or path, and its arguments.
    package var words: [String]
    /// As `NAME=VALUE`.
    package var environment: [String]
    /// Become standard input, output and error; nil leaves it what this process has.
    package var streams: [Int32?] = [nil, nil, nil]
    /// The signal that the kernel sends it when the OS thread that calls `start` ends; nil for none.  A program that is set-user-ID or has
    /// capabilities is not sent it.
    package var signalAtEnd: Int32? = SIGKILL
    /// Ctrl-C at the terminal is then not for it.
    package var hasOwnGroup = true

    package init(_ words: [String], environment: [String]) { (self.words, self.environment) = (words, environment) }

    /// Returns its id; the caller collects its end.  The OS thread that calls should live as long as the process, such as its first one.
    package func start() throws(SystemError) -> pid_t {
        // C would take the rest for no part of it.
        guard !(words + environment).contains(where: { $0.utf8.contains(0) }) else { throw SystemError(EINVAL) }
        let pid = ChildStart.withCStrings(words) { words in
            ChildStart.withCStrings(environment) { variables in
                LinuxCalls.start(words, variables, streams.map { $0 ?? -1 }, signalAtEnd ?? 0, hasOwnGroup)
            }
        }
        if pid < 0 { throw SystemError(-pid) }
        return pid
    }
}

/// Makes this process the parent of all that descend from it and have lost their own.
package func adoptOrphans() { _ = LinuxCalls.adoptOrphans() }
