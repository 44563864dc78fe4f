import GreenNet

/// The settings, and how to read them again.
struct Configuration: Sendable {
    private let options: [String: String]
    private let namesFile: Bool
    private let place: Place?
    private let isInetd: Bool

    private enum Place {
        /// Where it may be missing, a file that is not there is one that says nothing.
        case file(String, mayBeMissing: Bool)
        case standardInput
    }

    /// Nothing is read yet.
    init(_ options: Options) {
        (self.options, isInetd, namesFile) = (options.given, options.inetd, options.config != nil)
        let wanted = options.config ?? SettingSources.processEnvironment(SettingSources.variable(for: "config"))
        place = wanted.map { text in
            if text == "-" { return .standardInput }
            let mayBeMissing = text.hasPrefix("-")
            return .file(mayBeMissing ? String(text.dropFirst()) : text, mayBeMissing: mayBeMissing)
        }
    }

    /// Reads the file, if there is one, and checks every value.  To the end of standard input, it waits.
    func read() throws(StartFailure) -> Settings { try Settings(try sources()) }

    /// The same for a server that runs, which never waits.
    func readAgain() throws(StartFailure) -> Settings {
        if case .standardInput? = place {
            throw StartFailure(.configuration, "the configuration came from standard input, which cannot be read again")
        }
        return try read()
    }

    /// A line for each setting: its value, and where that comes from.
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
        switch place {
        case nil: return nil
        case .file("", _)?: throw StartFailure(.configuration, "config: '' is not the path of a file")
        case .file(let path, let mayBeMissing)?: return try ConfigurationFile(path: path, mayBeMissing: mayBeMissing)
        case .standardInput? where isInetd:
            throw StartFailure(.usage, "config: '-' is standard input, which with --inetd is the client's connection")
        case .standardInput?: return try ConfigurationFile.standardInput()
        }
    }
}

extension Settings {
    /// These settings with what a running server can take over from `new`, and the names of what it can't.
    func reloaded(_ new: Settings) -> (settings: Settings, changed: [String], needRestart: [String]) {
        var result = self
        result.live = new.live
        let others = Settings.all.filter { $0.show(self) != $0.show(new) }
        let changed = others.filter { $0.show(result) == $0.show(new) }.map(\.name)
        return (result, changed, others.map(\.name).filter { !changed.contains($0) })
    }
}

/// The settings as they are now, in all processes of the service: what one of them has read again counts in those that it has forked.
final class LiveSettings: Sendable {
    private let started: Settings
    private let live: SharedValue<Settings.Live>
    private let configuration: Configuration

    /// Throws where there is no memory.
    init(_ settings: Settings, _ configuration: Configuration) throws(StartFailure) {
        (started, self.configuration) = (settings, configuration)
        live = try SharedValue(settings.live)
    }

    var now: Settings {
        var settings = started
        settings.live = live.value
        return settings
    }

    /// Reads the configuration again and takes over what can be; the old settings stay where something is wrong.
    /// Returns the names of what has changed, and of what only a restart would change.
    func reload() throws(StartFailure) -> (changed: [String], needRestart: [String]) {
        let result = now.reloaded(try configuration.readAgain())
        live.value = result.settings.live
        return (result.changed, result.needRestart)
    }
}
