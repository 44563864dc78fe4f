import GreenNet
import Synchronization

/// The settings, and how to read them again.
struct Configuration: Sendable {
    private let options: [String: String]
    private let path: String?
    /// A file that is not there is one that says nothing.
    private let mayBeMissing: Bool

    /// Nothing is read yet.
    init(_ options: Options) {
        self.options = options.given
        let wanted = options.config ?? SettingSources.processEnvironment(SettingSources.variable(for: "config"))
        mayBeMissing = wanted?.hasPrefix("-") ?? false
        path = mayBeMissing ? wanted.map { String($0.dropFirst()) } : wanted
    }

    /// Reads the file, if there is one, and checks every value.
    func read() throws(StartFailure) -> Settings { try Settings(try sources()) }

    /// A line for each setting: its value, and where that comes from.
    func listing() throws(StartFailure) -> String {
        let sources = try sources()
        let settings = try Settings(sources)
        return Settings.all.map { setting in
            let origin = sources.pick(setting.name)?.origin ?? .default
            return "\(setting.name) = \(setting.show(settings))  # \(origin)"
        }.joined(separator: "\n")
    }

    private func sources() throws(StartFailure) -> SettingSources {
        var file: ConfigurationFile?
        if let path { file = try ConfigurationFile(path: path, mayBeMissing: mayBeMissing) }
        return SettingSources(options, file: file)
    }
}

extension Settings {
    /// These settings with what a running server can take over from `new`, and the names of what it can't.
    func reloaded(_ new: Settings) -> (settings: Settings, changed: [String], needRestart: [String]) {
        let changed = Settings.all.filter { $0.show(self) != $0.show(new) }
        var result = self
        for setting in changed where setting.isLive { setting.copy(&result, new) }
        return (result, changed.filter(\.isLive).map(\.name), changed.filter { !$0.isLive }.map(\.name))
    }
}

/// The settings of this process, as they are now.
final class LiveSettings: Sendable {
    private let settings: Mutex<Settings>
    private let configuration: Configuration

    init(_ settings: Settings, _ configuration: Configuration) {
        self.settings = Mutex(settings)
        self.configuration = configuration
    }

    var now: Settings { settings.withLock { $0 } }

    /// Reads the configuration again and takes over what can be; the old settings stay where something is wrong.
    /// Returns the names of what has changed, and of what only a restart would change.
    func reload() throws(StartFailure) -> (changed: [String], needRestart: [String]) {
        let new = try configuration.read()
        return settings.withLock { settings in
            let result = settings.reloaded(new)
            settings = result.settings
            return (result.changed, result.needRestart)
        }
    }
}
