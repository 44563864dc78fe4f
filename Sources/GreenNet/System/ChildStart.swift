import Glibc

/// Starting a program with posix_spawn, which forks and executes at one go: other OS threads don't matter to it.
enum ChildStart {
    /// Starts `words[0]` with signals as a login shell has them and no descriptors but `streams`, which become standard input, output and error;
    /// with `inNewSession` it is the leader of a session and process group of its own.
    static func start(
        _ words: [String], _ environment: [String: String]?, streams: [Int32], inNewSession: Bool
    ) throws(SystemError) -> (pid: pid_t, handle: Int32) {
        let pid = try spawn(words, environment, streams, inNewSession)
        let handle = SystemCalls.processHandle(pid)
        guard handle >= 0 else {
            SystemCalls.signal(pid, SIGKILL)
            _ = SystemCalls.collectChild(pid)
            throw SystemError(Int32(-handle))
        }
        return (pid, Int32(handle))
    }

    private static func spawn(
        _ words: [String], _ environment: [String: String]?, _ streams: [Int32], _ inNewSession: Bool
    ) throws(SystemError) -> pid_t {
        // C would take the rest for no part of it.
        guard !words.contains(where: { $0.utf8.contains(0) }) else { throw SystemError(EINVAL) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (number, stream) in streams.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, stream, Int32(number))
        }
        LinuxCalls.close(from: 3, in: &actions)
        var attributes = makeAttributes()
        if inNewSession { LinuxCalls.startSession(&attributes) }
        defer { posix_spawnattr_destroy(&attributes) }
        var pid = pid_t()
        let number = withCStrings(words) { words in
            guard let environment else {
                return posix_spawnp(&pid, words[0]!, &actions, &attributes, words, LinuxCalls.environment)
            }
            return withCStrings(environment.map { "\($0)=\($1)" }) {
                posix_spawnp(&pid, words[0]!, &actions, &attributes, words, $0)
            }
        }
        if number != 0 { throw SystemError(number) }
        return pid
    }

    private static func makeAttributes() -> posix_spawnattr_t {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        return attributes
    }

    /// As C has a list of arguments, with a null pointer at its end.  Valid until `body` returns.
    static func withCStrings<Result>(
        _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        var pointers = strings.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return pointers.withUnsafeMutableBufferPointer { body($0.baseAddress!) }
    }
}
