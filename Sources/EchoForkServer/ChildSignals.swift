import CForkServer

/// What the server asks of a child by signals, as `ServingSignals` has it.  The handlers are the program's, of which each child has a copy.
enum ChildSignals {
    /// The socket that the handler shuts down.
    nonisolated(unsafe) static var client: Int32 = -1
    /// Whether the server has asked the child to answer what it has received, and to end.
    nonisolated(unsafe) private(set) static var isFinishing = false

    /// In the program, in which none of them does anything: a Ctrl-C, say, reaches all processes of a terminal.
    static func prepare() {
        fork_block(SIGQUIT, 1)
        signal(SIGQUIT) { _ in ChildSignals.finish() }
        for number in [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2] { fork_ignore(number) }
    }

    /// In the child, which ends with `server`.
    static func begin(_ server: pid_t) {
        fork_signal_at_parents_end(SIGQUIT)
        // It may have ended before that was arranged.
        if getppid() != server { _exit(1) }
        fork_block(SIGQUIT, 0)
    }

    private static func finish() {
        isFinishing = true
        shutdown(client, Int32(SHUT_RD))
        alarm(UInt32(fork_seconds_to_finish))
    }
}
