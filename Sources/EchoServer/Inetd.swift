import Glibc
import GreenNet

/// `--inetd`: somebody has accepted one connection and has made it this program's standard input.  Serves it, and is done.
///
/// No hub: one client may as well block.  What goes for all connections (limits, counters) is the business of whoever accepts.
struct Inetd {
    private let live: LiveSettings
    private let log: ServerLog

    init(_ live: LiveSettings) {
        self.live = live
        log = ServerLog(level: live.now.logLevel, format: live.now.logFormat)
        log.unknownVariables(OwnVariables.unknown())
    }

    /// inetd makes the client all three standard streams: what is said on standard error, the client would hear.
    ///
    /// To be called before anything is said.
    static func keepStandardErrorFromClient() {
        StandardDescriptors.reserve()
        guard isSame(STDIN_FILENO, STDERR_FILENO) else { return }
        let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
        dup2(null, STDERR_FILENO)
        close(null)
    }

    private static func isSame(_ one: Int32, _ other: Int32) -> Bool {
        var (first, second) = (stat(), stat())
        guard fstat(one, &first) == 0, fstat(other, &second) == 0 else { return false }
        return first.st_dev == second.st_dev && first.st_ino == second.st_ino
    }

    /// Returns when the client is done.  After TERM or INT it has the drain timeout for that, and then what came is answered.
    func run() throws {
        let peer: SocketAddress
        do throws(InheritedSocket.Problem) {
            peer = try InheritedSocket.connection(STDIN_FILENO)
        } catch {
            // Gone before it could be served.
            if error == .notConnected { return }
            throw StartFailure(.configuration, "--inetd: standard input \(error)")
        }
        ServingSignals.installForOnlyClient(STDIN_FILENO, within: live.now.drainTimeout)
        let counters = CounterRow(counters: try Counters(rows: 1), row: 0)
        let (connection, end) = BlockingContext(live, log, counters).serve(
            STDIN_FILENO, peer, request: { ServingSignals.request })
        connection.close()
        if end == .failed { throw StartFailure(.system, "the connection with \(peer) has failed") }
    }
}
