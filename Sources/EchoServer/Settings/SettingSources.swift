import Glibc

/// The sources of settings.  The first that has a value counts: the option, the environment (`ECHO_SERVER_DRAIN_TIMEOUT` for
/// `--drain-timeout`), the configuration file.
struct SettingSources {
    private let options: [String: String]
    private let environment: (String) -> String?
    private let file: ConfigurationFile?

    /// `environment` is that of the process; tests give another.
    init(
        _ options: [String: String], environment: @escaping (String) -> String? = SettingSources.processEnvironment,
        file: ConfigurationFile? = nil
    ) {
        (self.options, self.environment, self.file) = (options, environment, file)
    }

    static func processEnvironment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// Where a value was given.
    enum Origin: Equatable {
        case `default`
        case option(String)
        case variable(String)
        case file(path: String, line: Int, key: String)

        /// The failure with `complaint` about a value: exit status 64 for an option, else 78.
        func failure(_ complaint: String) -> StartFailure {
            switch self {
            case .default: StartFailure(.configuration, complaint)
            case .option: StartFailure(.usage, "\(self): \(complaint)")
            case .variable: StartFailure(.configuration, "\(self): \(complaint)")
            case .file(let path, let line, let key):
                StartFailure(.configuration, "\(path):\(line): \(key): \(complaint)")
            }
        }
    }

    /// The value that counts; nil where no source has one.
    func pick(_ name: String) -> (text: String, origin: Origin)? {
        if let text = options[name] { return (text, .option(name)) }
        let variable = SettingSources.variable(for: name)
        if let text = environment(variable) { return (text, .variable(variable)) }
        return file?.value(of: name)
    }

    static let variablePrefix = "ECHO_SERVER_"

    static func variable(for name: String) -> String {
        // Names are ASCII.  Going through characters, with their Unicode properties, took 2 % of the start.
        let bytes = name.utf8.map { byte in
            switch byte {
            case UInt8(ascii: "-"): UInt8(ascii: "_")
            case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - 0x20
            default: byte
            }
        }
        return variablePrefix + String(decoding: bytes, as: UTF8.self)
    }
}

extension SettingSources.Origin: CustomStringConvertible {
    var description: String {
        switch self {
        case .default: "default"
        case .option(let name): "--\(name)"
        case .variable(let name): name
        case .file(let path, let line, _): "\(path):\(line)"
        }
    }
}
