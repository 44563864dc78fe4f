import Glibc
import GreenNet

/// The environment variables that a service manager has set for this process alone.
struct ManagerVariables {
    private let values: [String: String]

    private static let names = [
        "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS",
        "LISTEN_FDNAMES", Successor.variable,
    ]

    init(_ values: [String: String]) { self.values = values }

    /// Reads the variables and removes them from the environment: a child must not notify the manager, or use the sockets.
    /// Throws for a variable that is not UTF-8: repaired, it could name another socket.
    static func take() throws(StartFailure) -> ManagerVariables {
        var values: [String: String] = [:]
        for name in names {
            guard let value = getenv(name) else { continue }
            let bytes = UnsafeRawBufferPointer(start: value, count: strlen(value))
            guard let text = String(utf8: bytes) else {
                throw StartFailure(.configuration, "\(name): '\(String(showing: bytes))' is not UTF-8")
            }
            values[name] = text
            unsetenv(name)
        }
        return ManagerVariables(values)
    }

    /// Those that an instance needs that follows this one, as `NAME=VALUE`: the manager gave the numbers of processes to this one.
    var ofSuccessor: [String] {
        ["NOTIFY_SOCKET", "WATCHDOG_USEC"].compactMap { name in values[name].map { "\(name)=\($0)" } }
    }

    subscript(name: String) -> String? { values[name] }

    /// Whether the variable `name` has the number of process `pid`; false where it is not set.
    func names(_ pid: pid_t, in name: String) throws(StartFailure) -> Bool {
        guard let text = values[name] else { return false }
        guard let named = pid_t(text), named > 0 else {
            throw StartFailure(.configuration, "\(name): '\(text)' is not a process id")
        }
        return named == pid
    }
}
