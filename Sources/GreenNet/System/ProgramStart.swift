import Glibc

/// Starts a program, for `ChildProcess`, the programs and the tests.  It needs no hub.
///
/// The program has no signal blocked or ignored, whatever this process and the OS thread that calls have.
package struct ProgramStart: Sendable {
    /// What a terminal's signals, and those that are sent to a group, reach.
    package enum Group: Int32, Sendable {
        case starters, own
        /// A session too: the program has no terminal.
        case ownSession
    }

    /// The program's name, which is looked up in PATH, or its path; and its arguments.
    package var words: [String]
    /// As `NAME=VALUE`.
    package var environment: [String]
    /// Become its descriptors 0, 1 and so on; nil leaves it what this process has.  It gets no others.
    package var streams: [Int32?] = [nil, nil, nil]
    /// The signal that the kernel sends it when the OS thread that calls `start` ends; nil for none.  A program that is set-user-ID or has capabilities is
    /// not sent it.
    package var signalAtStartersEnd: Int32?
    package var group = Group.starters

    package init(_ words: [String], environment: [String]) { (self.words, self.environment) = (words, environment) }

    /// Returns its id; the caller collects its end.  With `signalAtStartersEnd`, the OS thread that calls should live as long as the process, such as its
    /// first one.
    package func start() throws(SystemError) -> pid_t {
        // C would take the rest for no part of it.
        guard !(words + environment).contains(where: { $0.utf8.contains(0) }) else { throw SystemError(EINVAL) }
        let pid = withCStrings(words) { words in
            withCStrings(environment) { variables in
                LinuxCalls.start(
                    words, variables, streams: streams.map { $0 ?? -1 }, signalAtStartersEnd: signalAtStartersEnd ?? 0,
                    group: group.rawValue)
            }
        }
        if pid < 0 { throw SystemError(-pid) }
        return pid
    }

    /// As C has a list of strings, with a null pointer at its end.  Valid until `body` returns.
    private func withCStrings<Result>(
        _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        var pointers = strings.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return pointers.withUnsafeMutableBufferPointer { body($0.baseAddress!) }
    }
}

/// This process's environment, as `NAME=VALUE`.
package var ownEnvironment: [String] {
    var variables: [String] = []
    var next = LinuxCalls.environment
    while let variable = next?.pointee {
        variables.append(String(cString: variable))
        next! += 1
    }
    return variables
}

/// Makes this process the parent of all that descend from it and have lost their own.
package func adoptOrphans() { _ = LinuxCalls.adoptOrphans() }
