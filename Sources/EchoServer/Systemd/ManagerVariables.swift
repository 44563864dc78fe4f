import Glibc

/// What a service manager has put into the environment for this process, and for no other.
struct ManagerVariables {
    private let values: [String: String]

    private static let names = [
        "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS",
        "LISTEN_FDNAMES",
    ]

    init(_ values: [String: String]) { self.values = values }

    /// Takes them out of the environment: a child must not answer for this process, or take its sockets for its own.
    static func take() -> ManagerVariables {
        var values: [String: String] = [:]
        for name in names {
            values[name] = getenv(name).map { String(cString: $0) }
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
