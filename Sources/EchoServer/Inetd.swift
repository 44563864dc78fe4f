import Glibc
import GreenNet
import ProgramKit

/// `--inetd`: serves the one connection that inetd or systemd has accepted and has made this program's standard input.
///
/// No hub: with one client, the process may block.  Limits and counters of all connections are those of the program that accepts.
struct Inetd {
    private let live: LiveSettings
    private let log: ServerLog

    init(_ live: LiveSettings) {
        self.live = live
        log = ServerLog(level: { live.logLevel }, format: live.now.logFormat)
        log.unknownVariables(OwnVariables.unknown())
    }

    /// inetd makes the connection all three standard streams: the client would receive what the program writes to standard error.  Replaces
    /// standard error then, or ends the process where it can't.
    ///
    /// To be called before the program writes anything.
    static func keepStandardErrorFromClient() {
        StandardDescriptors.reserve()
        guard isSame(STDIN_FILENO, STDERR_FILENO) else { return }
        // Without a word: it would go to the client.
        guard let sink = openSink(), dup2(sink, STDERR_FILENO) >= 0 else { exit(ExitStatus.system.rawValue) }
        close(sink)
    }

    /// A descriptor that keeps nothing of what is written to it: /dev/null, or a pipe that has no reader where /dev/null is not there, as in a
    /// chroot.
    private static func openSink() -> Int32? {
        let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
        if null >= 0 { return null }
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return nil }
        close(ends[0])
        return ends[1]
    }

    private static func isSame(_ one: Int32, _ other: Int32) -> Bool {
        var (first, second) = (stat(), stat())
        guard fstat(one, &first) == 0, fstat(other, &second) == 0 else { return false }
        return first.st_dev == second.st_dev && first.st_ino == second.st_ino
    }

    /// Returns when the client is done.  After TERM or INT the client has the drain timeout to finish, and then gets answers to what it has sent.
    func run() throws {
        let peer: SocketAddress
        do throws(InheritedSocket.Problem) {
            peer = try InheritedSocket.connection(STDIN_FILENO)
        } catch {
            // The client has gone.
            if error == .notConnected { return }
            throw StartFailure(.configuration, "--inetd: standard input \(error)")
        }
        ServingSignals.installForOnlyClient(STDIN_FILENO, within: live.now.drainTimeout)
        let counters = CounterRow(counters: try Counters(rows: 1), row: 0)
        let (connection, end) = ConnectionService(live, log, counters).serve(
            STDIN_FILENO, peer, request: { ServingSignals.request })
        connection.close()
        if end == .failed { throw StartFailure(.system, "the connection with \(peer) failed") }
    }
}
