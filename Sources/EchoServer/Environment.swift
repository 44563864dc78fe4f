import Glibc

/// Settings in the environment: `ECHO_SERVER_DRAIN_TIMEOUT` for `--drain-timeout`.
struct Environment {
    private let lookUp: (String) -> String?

    /// The process's own, unless a test gives another.
    init(lookUp: @escaping (String) -> String? = { getenv($0).map { String(cString: $0) } }) { self.lookUp = lookUp }

    /// Where a value was given, for the complaint about it.
    enum Origin {
        case option(String)
        case variable(String)

        func failure(_ complaint: String) -> StartFailure {
            switch self {
            case .option(let name): StartFailure(.usage, "--\(name): \(complaint)")
            case .variable(let name): StartFailure(.configuration, "\(name): \(complaint)")
            }
        }
    }

    /// The value that counts: the option's, else the variable's.
    func pick(_ given: String?, _ name: String) -> (text: String, origin: Origin)? {
        if let given { return (given, .option(name)) }
        let variable = "ECHO_SERVER_" + name.uppercased().map { $0 == "-" ? "_" : $0 }
        return lookUp(variable).map { ($0, .variable(variable)) }
    }
}
