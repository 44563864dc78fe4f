import Glibc
import GreenNet

/// What a service manager has put into the environment for this process, and for no other.
struct ManagerVariables {
    private let values: [String: String]

    private static let names = [
        "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS",
        "LISTEN_FDNAMES",
    ]

    init(_ values: [String: String]) { self.values = values }

    /// Takes them out of the environment: a child must not answer for this process, or take its sockets for its own.
    /// Throws for one that is not UTF-8: it would lead to another socket.
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

    subscript(name: String) -> String? { values[name] }

    /// Whether this process is the one that `name` names.  A variable that is not set names nobody.
    func names(_ pid: pid_t, in name: String) throws(StartFailure) -> Bool {
        guard let text = values[name] else { return false }
        guard let named = pid_t(text), named > 0 else {
            throw StartFailure(.configuration, "\(name): '\(text)' is not a process id")
        }
        return named == pid
    }
}
