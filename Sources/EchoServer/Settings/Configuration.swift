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

    /// Reads the file again, for a running server.  Never waits.
    func readAgain() throws(StartFailure) -> Settings {
        if case .standardInput? = source {
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

extension Settings {
    /// Returns these settings with the values of `new` that a running server can take over, the names of these, and the names of other settings that
    /// `new` changes.
    func reloaded(_ new: Settings) -> (settings: Settings, changed: [String], needRestart: [String]) {
        var result = self
        result.live = new.live
        let others = Settings.all.filter { $0.show(self) != $0.show(new) }
        let changed = others.filter { $0.show(result) == $0.show(new) }.map(\.name)
        return (result, changed, others.map(\.name).filter { !changed.contains($0) })
    }
}

/// The current settings of all processes of the service.  A reload in the first process counts in the processes that it has forked.
final class LiveSettings: Sendable {
    private let started: Settings
    private let live: LiveValue<Settings.Live>
    private let configuration: Configuration
    /// Nil where the service speaks no TLS.
    let tls: ServerTLS?
    /// Nil where no records of connections are written.
    let records: RecordSink?
    /// Whether a connection has nothing but its handler.
    let isPlain: Bool
    /// Nil where nothing is done to connections on purpose.
    let faults: FaultInjector?
    /// Nil where all listeners serve alike.
    let profiles: ListenerProfiles?

    /// Throws where there is no memory for them, and where a file of TLS is bad.
    init(_ settings: Settings, _ configuration: Configuration) throws(StartFailure) {
        (started, self.configuration) = (settings, configuration)
        live = try LiveValue(settings.live)
        tls = if let files = settings.tlsFiles { try ServerTLS(files) } else { nil }
        records = if let place = settings.record { try RecordSink(place) } else { nil }
        let entries = settings.streamEntries
        let isMixed = entries.contains { $0.overridesSettings || $0.speaksTLS != (settings.tlsFiles != nil) }
        profiles = isMixed ? ListenerProfiles() : nil
        faults = settings.faults.areNone ? nil : try FaultInjector(settings.faults)
        isPlain =
            tls == nil && records == nil && settings.banner == nil && settings.proxy.mode == .off
            && settings.services.service == .echo && faults == nil && profiles == nil
    }

    var now: Settings {
        var settings = started
        settings.live = live.value
        return settings
    }

    /// What a reload may have changed, without a copy of all the others.
    var changing: Settings.Live { live.value }

    var logLevel: Logger.Level { changing.logLevel }
    var bufferSize: Int { started.bufferSize }
    /// Whether clients may be behind proxies that name them.
    var looksForProxies: Bool { started.proxy.mode != .off }

    /// Reads the configuration and the files of TLS again and takes over what a running server can; with an error in it, the old settings stay.
    /// Returns the names of the settings that have changed, and of those that only a restart would change.
    func reload() throws(StartFailure) -> (changed: [String], needRestart: [String]) {
        let result = now.reloaded(try configuration.readAgain())
        let hasNewCertificate = try tls?.reload() ?? false
        records?.reopen()
        live.value = result.settings.live
        return (result.changed + (hasNewCertificate ? ["tls-certificate"] : []), result.needRestart)
    }
}
