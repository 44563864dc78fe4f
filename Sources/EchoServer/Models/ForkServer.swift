import CForkServer
import Glibc
import GreenNet
import ProgramKit
import Synchronization

/// The program `echo-fork-server`, which makes the children of the model process: a fork of a program as small as that one takes a fraction of what a fork of this
/// one takes.  The children are this process's own, as if it had forked them.
///
/// It is where an installation has put it, or else this process forks for itself.
final class ForkServer {
    let pid: pid_t
    /// A request and its answer at a time.
    private let channel: Int32
    private let memory: PassedMemory
    private(set) var isRunning = true
    /// After `provenTime` it does not fail as it starts, or with its first children.
    var isProven: Bool { proof.hasPassed }
    private let proof = Deadline.after(ForkServer.provenTime)
    static let provenTime = Duration.seconds(300)

    /// Where the program is; nil where it was not installed, as in a directory of builds.  Never looked up in PATH.
    static let path: String? = {
        guard let own = ProcFS.linkTarget("/proc/self/exe"), let end = own.lastIndex(of: "/") else { return nil }
        let places = ["/echo-fork-server", "/../libexec/echo-server/echo-fork-server"]
        return places.map { own[..<end] + $0 }.first { access($0, X_OK) == 0 }
    }()

    /// How long the program may take for a child: it has failed then.
    private static let patience: Int64 = 5_000_000_000

    /// Starts the program.  It ends with this process, however that ends, and has nothing of it but standard streams, `memory` and a channel.
    init(_ path: String, _ memory: PassedMemory, bufferSize: Int) throws(SystemError) {
        self.memory = memory
        memory[fork_version] = Int(fork_current_version)
        memory[fork_buffer_size] = bufferSize
        var ends: [Int32] = [-1, -1]
        let result = fork_make_channel(&ends)
        if result < 0 { throw SystemError(-result) }
        defer { close(ends[1]) }
        channel = ends[0]
        fork_limit_time(channel, SO_RCVTIMEO, ForkServer.patience)
        // With Swift's runtime, as in a directory of builds, a child that dies would first look for its reason, for a minute: this process says that it died.
        var program = ProgramStart([path], environment: ["SWIFT_BACKTRACE=enable=no"])
        program.streams = [nil, nil, nil, ends[1], memory.file]
        program.signalAtStartersEnd = SIGKILL
        do throws(SystemError) { pid = try program.start() } catch {
            close(channel)
            throw error
        }
        raiseOOMScore()
    }

    /// Once for all children, which inherit it.  Where the kernel refuses, nothing changes.
    private func raiseOOMScore() {
        let own = SmallFile.text(of: "/proc/self/oom_score_adj").flatMap { Int32($0.prefix { $0 != "\n" }) } ?? 0
        try? SmallFile.write("\(min(own + Supervisor.oomScoreRaise, 1000))", to: "/proc/\(pid)/oom_score_adj")
    }

    /// Makes a child that serves the client behind `descriptor`.  Nil where the program has failed, which ends it.  Throws where the system has no process left.
    func child(serving descriptor: Int32, _ settings: Settings.Live) throws(SystemError) -> pid_t? {
        if !isRunning { return nil }
        memory[fork_last_child] = 0
        var (request, answer) = (fork_request(settings), Int32(0))
        let isAnswered =
            fork_request_send(channel, &request, descriptor) == 0
            && fork_receive_by(channel, &answer, 4, fork_now() + ForkServer.patience) == 4
        if isAnswered, answer > 0 { return answer }
        if isAnswered, [EAGAIN, ENOMEM].contains(-answer) { throw SystemError(-answer) }
        // It has died, does not run, or the system does not let it make children of this process.
        end()
        // It may have made the child before.
        let child = memory[fork_last_child]
        return child > 0 ? pid_t(child) : nil
    }

    /// Ends the program, not the children, and collects its end unless that was done.
    func end(isCollected: Bool = false) {
        if !isRunning { return }
        isRunning = false
        close(channel)
        if isCollected { return }
        kill(pid, SIGKILL)
        while waitpid(pid, nil, 0) < 0, errno == EINTR {}
    }
}

extension PassedMemory {
    fileprivate subscript<Cell: BinaryInteger>(cell: Cell) -> Int {
        get { cells[Int(cell)].load(ordering: .acquiring) }
        nonmutating set { cells[Int(cell)].store(newValue, ordering: .releasing) }
    }
}

extension fork_request {
    fileprivate init(_ settings: Settings.Live) {
        let transform =
            switch settings.transform {
            case .upper: fork_upper
            case .lower: fork_lower
            case .rot13: fork_rot13
            case .echo, .reverse, .discard, .whoami: fork_echo
            }
        self.init(
            idle_limit: settings.idleTimeout?.nanoseconds ?? 0, write_limit: settings.writeTimeout?.nanoseconds ?? 0,
            transform: Int32(transform.rawValue))
    }
}

extension Settings {
    /// Whether clients get children from a fork server.
    var hasForkServer: Bool { model.hasForkServer && poolSize == nil && ForkServer.path != nil }
}

extension ChildStatus {
    /// Why the connection of a fork server's child has ended early; nil where it has not, or where the child was killed.
    func failure(with peer: SocketAddress) -> NetError? {
        if signal != nil || exitCode == 0 { return nil }
        let call: NetError.Call = exitCode < fork_in_send ? .recv : .send
        let number = exitCode & (Int32(fork_in_send) - 1)
        return NetError(call, number == ETIME ? .wait(.deadlinePassed) : .system(SystemError(number)), peer)
    }
}
