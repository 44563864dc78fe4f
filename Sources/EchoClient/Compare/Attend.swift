import ArgumentParser
import Glibc
import GreenNet

/// `echo-client attend`: runs another server's command for compare, and ends all that descends from it when compare ends.
///
/// A shell's children are no children of compare: the kernel would not end them with it.  This process sees the end of its standard input,
/// which the kernel brings about however compare has ended.  It has no hub: it only waits.
struct Attend: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attend", abstract: "Another server's command; started by compare.", shouldDisplay: false)

    @Argument var words: [String]

    /// Milliseconds between two looks at what has ended.
    private static let interval: Int32 = 20
    /// For which all have to end by themselves, after TERM.
    private static let patience = Duration.milliseconds(500)

    func run() throws {
        adoptOrphans()
        var start = ProgramStart(words, environment: ownEnvironment)
        start.streams[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)
        start.signalAtStartersEnd = SIGKILL
        blockSignals()
        do throws(SystemError) { _ = try start.start() } catch { throw Failure.notStarted(words[0], error) }
        while hasChildren {
            if isInputOver { endAll() }
        }
    }

    /// What ends compare's process group does not end this one before it has done its work.
    private func blockSignals() {
        var signals = OSThread.signalsToBlock
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// Collects those that have ended.
    private var hasChildren: Bool {
        while true {
            let pid = waitpid(-1, nil, WNOHANG)
            if pid <= 0 { return pid == 0 }
        }
    }

    /// Waits for a moment.
    private var isInputOver: Bool {
        var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        return poll(&input, 1, Attend.interval) > 0
    }

    private func endAll() {
        let limit = Deadline.after(Attend.patience)
        signalAll(SIGTERM)
        while hasChildren {
            if limit.hasPassed { signalAll(SIGKILL) }
            poll(nil, 0, Attend.interval)
        }
    }

    private func signalAll(_ signal: Int32) {
        for pid in ProcessTree(getpid()).processes.dropFirst() { kill(pid, signal) }
    }
}
