import GreenNet
import Logging

/// The settings, and how to read them again.
struct Configuration: Sendable {
    private let options: [String: String]
    private let namesFile: Bool
    private let source: Source?
    private let isInetd: Bool

    private enum Source {
        /// An optional file may be missing, and is empty then.
        case file(String, isOptional: Bool)
        case standardInput
    }

    /// Nothing is read yet.
    init(_ options: Options) {
        (self.options, isInetd, namesFile) = (options.given, options.inetd, options.config != nil)
        let wanted = options.config ?? SettingSources.processEnvironment(SettingSources.variable(for: "config"))
        source = wanted.map { text in
            if text == "-" { return .standardInput }
            let isOptional = text.hasPrefix("-")
            return .file(isOptional ? String(text.dropFirst()) : text, isOptional: isOptional)
        }
    }

    /// Reads the file, if there is one, and checks every value.  Waits for the end of standard input.
    func read() throws(StartFailure) -> Settings { try Settings(try sources()) }

    var isFromStandardInput: Bool { if case .standardInput? = source { true } else { false } }

    /// Reads the file again, for a running server.  Never waits.
    func readAgain() throws(StartFailure) -> Settings {
        if isFromStandardInput {
            throw StartFailure(.configuration, "the configuration came from standard input, which cannot be read again")
        }
        return try read()
    }

    /// A line for each setting: its value, and where the value comes from.
    func listing() throws(StartFailure) -> String {
        let sources = try sources()
        let settings = try Settings(sources)
        return Settings.all.map { setting in
            let origin = sources.pick(setting.name)?.origin ?? .default
            return "\(setting.name) = \(setting.show(settings))  # \(origin)".escaped
        }.joined(separator: "\n")
    }

    private func sources() throws(StartFailure) -> SettingSources {
        try OwnVariables.checkText(besides: Array(options.keys) + (namesFile ? ["config"] : []))
        return SettingSources(options, file: try file())
    }

    private func file() throws(StartFailure) -> ConfigurationFile? {
        switch source {
        case nil: return nil
        case .file("", _)?: throw StartFailure(.configuration, "config: '' is not the path of a file")
        case .file(let path, let isOptional)?: return try ConfigurationFile(path: path, isOptional: isOptional)
        case .standardInput? where isInetd:
            throw StartFailure(.usage, "config: '-' is standard input, which with --inetd is the client's connection")
        case .standardInput?: return try ConfigurationFile.standardInput()
        }
    }
}
