import Glibc
import GreenNet
import ProgramKit

/// A network namespace of the benchmark's own.
///
/// The range of ports and the queues of listeners are set there without a change for other programs, no filter looks at the packets, and what is left in
/// TIME_WAIT goes with it.
enum MillionNetwork {
    /// Set in the program that this one becomes: `own` in its namespace, or `shared` where none is permitted.
    private static let variable = "MILLION_NETWORK"
    /// The setting is not to be seen from inside.
    private static let memoryVariable = "MILLION_TCP_MEMORY"

    static var isOwn: Bool { value(of: variable) == "own" }
    static var memoryPages: String { value(of: memoryVariable) ?? Machine.setting("net/ipv4/tcp_mem") ?? "unknown" }

    private static func value(of name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// Becomes the same program with the same arguments in a namespace of its own, where that is permitted; there, sets it up.
    static func enterOwn() throws {
        if isOwn { return try setUp() }
        guard (try? Tool.run(["unshare", "--net", "ip", "link", "set", "lo", "up"])) != nil else { return }
        setenv(memoryVariable, memoryPages, 1)
        setenv(variable, "own", 1)
        try become(["unshare", "--net", ProgramArguments.sibling("EchoBench")] + (try ProgramArguments.texts()))
    }

    private static func become(_ words: [String]) throws {
        // The program that this one becomes expects signals as a shell leaves them.
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
        let pointers = words.map { strdup($0) } + [nil]
        execvp(pointers[0]!, pointers)
        throw BenchFailure("cannot start \(words[0]): \(SystemError(errno))")
    }

    private static func setUp() throws {
        try Tool.run(["ip", "link", "set", "lo", "up"])
        try TextFile(creating: "/proc/sys/net/ipv4/ip_local_port_range").write("1024 65535\n")
        try TextFile(creating: "/proc/sys/net/core/somaxconn").write("8192\n")
    }
}
