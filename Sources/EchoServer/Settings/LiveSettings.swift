import GreenNet
import Logging

/// The current settings of all processes of the service.  A reload in the first process counts in the processes that it has forked: each reads what has
/// changed from shared memory, before it uses the settings next.
final class LiveSettings: Sendable {
    private let configuration: Configuration
    private let live: LiveValue<Now>
    private let words: SharedWords
    private let current: ReadMostly<Current>
    /// Whether there are `rules`.
    private let hasRules: SharedFlag
    /// Nil where the service speaks no TLS.
    let tls: ServerTLS?
    /// Nil where nothing is done to connections on purpose.
    let faults: FaultInjector?

    /// What a connection reads.
    struct Now: BitwiseCopyable, Sendable {
        var changing: Settings.Live
        /// Whether a connection has nothing but its handler.
        var isPlain: Bool
        /// Whether it has its handler, and a record.
        var isRecorded: Bool
        /// Of the words that hold the other settings.
        var version: Int
    }

    /// The settings of one version, as this process has them.
    private struct Current {
        var version = 0
        var settings: Settings
        /// Nil where no records of connections are written.
        var records: RecordSink?
        /// Nil where all listeners serve alike.
        var profiles: ListenerProfiles?
    }

    /// Throws where there is no memory for them, and where a file of TLS is bad or one of records cannot be opened.  Without `makesFiles`, the latter is only
    /// checked.
    init(_ settings: Settings, _ configuration: Configuration, makesFiles: Bool = true) throws(StartFailure) {
        self.configuration = configuration
        if let place = settings.record, !makesFiles { try RecordSink.check(place) }
        let records: RecordSink? =
            if let place = settings.record, makesFiles { try RecordSink(place) } else { nil }
        current = ReadMostly(Current(settings: settings, records: records))
        tls = if let files = settings.tlsFiles { try ServerTLS(files) } else { nil }
        faults = settings.faults.areNone ? nil : try FaultInjector(settings.faults)
        words = try SharedWords()
        hasRules = try SharedFlag()
        live = try LiveValue(Now(changing: settings.live, isPlain: false, isRecorded: false, version: 0))
        let differ = ListenerProfiles.areNeeded(settings.streamEntries, settings)
        let isPlain = isPlain(settings, placesDiffer: differ)
        (live.value.isPlain, live.value.isRecorded) = (isPlain && records == nil, isPlain && records != nil)
        hasRules.isSet = !AdmissionRules(settings).areNone
    }

    /// But for its record.
    private func isPlain(_ settings: Settings, placesDiffer: Bool) -> Bool {
        tls == nil && settings.banner == nil && settings.proxy.mode == .off
            && settings.services.service == .echo && faults == nil && !placesDiffer
    }

    // MARK: - Now

    var now: Settings {
        let live = live.value
        var settings = withCurrent(live.version) { $0.pointee.settings }
        settings.live = live.changing
        return settings
    }

    /// What a reload may have changed, without a copy of all the others.
    var changing: Settings.Live { live.value.changing }
    /// The same where a connection has nothing but its handler; nil where it has more.
    var plain: Settings.Live? {
        let now = live.value
        return now.isPlain ? now.changing : nil
    }

    /// Another number after each reload.  One that is read before the settings is not newer than those.
    var number: UInt64 { live.number }

    /// The same where a connection has its handler and a record; nil where it has less or more.
    var recorded: Settings.Live? {
        let now = live.value
        return now.isRecorded ? now.changing : nil
    }

    /// Whether the configuration can't be read again.
    var isFromStandardInput: Bool { configuration.isFromStandardInput }

    var logLevel: Logger.Level { changing.logLevel }
    var bufferSize: Int { withCurrent(0) { $0.pointee.settings.bufferSize } }
    // Parts, without a copy of all settings on the stack of a connection.
    var model: ModelKind { withCurrent(live.value.version) { $0.pointee.settings.model } }
    var modelName: String { withCurrent(live.value.version) { $0.pointee.settings.model.name } }
    var banner: Banner? { withCurrent(live.value.version) { $0.pointee.settings.banner } }
    var service: SmallService { withCurrent(live.value.version) { $0.pointee.settings.services.service } }

    /// Whether clients may be behind proxies that name them.
    var looksForProxies: Bool { withCurrent(live.value.version) { $0.pointee.settings.proxy.mode != .off } }
    /// Who is served, and the proxies that speak for others; nil where all are served, and no proxy speaks.  Asked for each connection: without rules, it
    /// takes no lock.
    var rules: AdmissionRules? {
        guard hasRules.isSet else { return nil }
        return withCurrent(live.value.version) { AdmissionRules($0.pointee.settings) }
    }
    /// Nil where no records of connections are written.
    var records: RecordSink? { withCurrent(live.value.version) { $0.pointee.records } }
    /// Nil where all listeners serve alike.
    var profiles: ListenerProfiles? { withCurrent(live.value.version) { $0.pointee.profiles } }

    /// `body` reads them where they are: a copy would count a reference to each of their parts, and a forked child would have a page of its own for each.
    private func withCurrent<Value: Sendable>(_ wanted: Int, _ body: (UnsafePointer<Current>) -> Value) -> Value {
        let answer = current.read { $0.pointee.version < wanted ? nil : body($0) }
        return answer
            ?? current.write { current in
                if current.version < wanted { catchUp(&current) }
                return body(&current)
            }
    }

    /// In a process that did not read the configuration itself.
    private func catchUp(_ current: inout Current) {
        let (words, version) = words.value
        var settings = current.settings
        settings.set(words)
        if settings.record == current.settings.record {
            current.records?.reopen()
        } else {
            current.records?.stopGathering()
            current.records = settings.record.map { RecordSink(openingLater: $0) }
        }
        (current.settings, current.profiles, current.version) = (settings, ListenerProfiles(words), version)
    }

    // MARK: - Changes

    /// What differs between the places at which the service listens.  To be called before it forks and accepts.
    func begin(_ profiles: ListenerProfiles?) { current.write { $0.profiles = profiles } }

    /// What a reload has done.
    struct Reload {
        /// The names of the settings that have changed.
        let changed: [String]
        /// The names of those that only a restart would change.
        let needRestart: [String]
        /// Nil where the service does not listen yet, or on sockets that were passed in.
        let listeners: ListenerChange?
    }

    /// Reads the configuration and the files of TLS again and takes over what a running server can; with an error in it, or where `openListeners` throws,
    /// everything stays as it was.  `openListeners` gets the settings as they will be, and opens what is missing.
    func reload(
        openListeners: (Settings) throws(StartFailure) -> ListenerChange? = { _ throws(StartFailure) in nil }
    ) throws(StartFailure) -> Reload {
        let before = now
        let result = before.reloaded(try configuration.readAgain())
        let settings = result.settings
        try check(settings)
        let isNewPlace = settings.record != before.record
        // It is opened anew with the next record: an error then would be seen by none.
        if let place = settings.record { try RecordSink.check(place) }
        let records: RecordSink? = if isNewPlace, let place = settings.record { try RecordSink(place) } else { nil }
        let listeners = try openListeners(settings)
        do throws(StartFailure) {
            let hasNewCertificate = try tls?.reload() ?? false
            let profiles = if let listeners { listeners.profiles } else { profiles }
            try change(to: settings, profiles, records: isNewPlace ? .some(records) : nil)
            return Reload(
                changed: result.changed + (hasNewCertificate ? ["tls-certificate"] : []),
                needRestart: result.needRestart, listeners: listeners)
        } catch {
            listeners?.abandon()
            throw error
        }
    }

    private func check(_ settings: Settings) throws(StartFailure) {
        if tls == nil, let entry = settings.streamEntries.first(where: \.speaksTLS) {
            throw StartFailure(
                .configuration, "listen: '\(entry)' needs a restart: the server was started without tls-certificate")
        }
    }

    /// `records` is nil where they go where they went.
    private func change(
        to settings: Settings, _ profiles: ListenerProfiles?, records: RecordSink??
    ) throws(StartFailure) {
        let version = try words.write(settings.words + (profiles?.words ?? []))
        current.write { current in
            if let records {
                current.records?.stopGathering()
                current.records = records
            } else {
                current.records?.reopen()
            }
            (current.settings, current.profiles, current.version) = (settings, profiles, version)
        }
        let isPlain = isPlain(settings, placesDiffer: profiles != nil)
        live.value = Now(
            changing: settings.live, isPlain: isPlain && settings.record == nil,
            isRecorded: isPlain && settings.record != nil, version: version)
        // Last: a process that finds rules finds their version too.
        hasRules.isSet = !AdmissionRules(settings).areNone
    }
}
