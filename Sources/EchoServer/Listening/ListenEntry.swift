import GreenNet

/// One place to listen at, with the settings that differ there: `tls:[::]:443?transform=echo&dscp=10`.
struct ListenEntry: Sendable {
    let kind: Kind
    let endpoint: Endpoint
    /// As it was given.
    let text: String
    private let overrides: [(setting: Setting, value: String)]

    enum Kind: String, CaseIterable, Sendable {
        case tcp, tls, unix, udp
    }

    /// Why a text is no such place, in words.
    struct Problem: Error, CustomStringConvertible {
        let description: String
    }

    static let rule =
        "a list of tcp:, tls:, unix: or udp: with an address, and ?NAME=VALUE&NAME=VALUE behind it for settings there"

    /// Without settings of its own.
    init(_ kind: Kind, _ endpoint: Endpoint) { (self.kind, self.endpoint, text, overrides) = (kind, endpoint, "", []) }

    var speaksTLS: Bool { kind == .tls }
    var overridesSettings: Bool { !overrides.isEmpty }

    /// The settings as they are here.
    func settings(_ common: Settings) -> Settings {
        var settings = common
        for (setting, value) in overrides { _ = setting.set(&settings, value) }
        return settings
    }
}

// MARK: - Parsing

extension ListenEntry {
    /// The places of a list with commas between them.  A comma that no kind follows belongs to a value: `keepalive=60,10,5`.
    static func entries(_ text: String) throws(Problem) -> [ListenEntry] {
        var texts: [String] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
            if texts.isEmpty || Kind.allCases.contains(where: { part.hasPrefix("\($0.rawValue):") }) {
                texts.append(part)
            } else {
                texts[texts.count - 1] += ",\(part)"
            }
        }
        var entries: [ListenEntry] = []
        for text in texts { entries.append(try ListenEntry(text)) }
        if entries.count > mostEntries {
            throw Problem(description: "\(entries.count) places are more than \(mostEntries)")
        }
        return entries
    }

    /// More than that is a mistake, and each takes a descriptor for each hub.
    static let mostEntries = 64

    @Sendable
    static func reason(_ text: String) -> String? {
        do throws(Problem) {
            _ = try entries(text)
            return nil
        } catch {
            return error.description
        }
    }

    private init(_ text: String) throws(Problem) {
        guard let kind = Kind.allCases.first(where: { text.hasPrefix("\($0.rawValue):") }) else {
            throw Problem(description: "'\(text)' does not begin with tcp:, tls:, unix: or udp:")
        }
        let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let address = parts[0].dropFirst(kind.rawValue.count + 1)
        do throws(AddressError) {
            endpoint =
                kind == .unix
                ? .unix(path: try Endpoint.unixPath(parsing: String(address))) : try Endpoint(parsing: String(address))
        } catch {
            throw Problem(description: "'\(address)': \(error.reason)")
        }
        if kind != .unix, case .unix = endpoint { throw Problem(description: "'\(address)': a path goes behind unix:") }
        overrides = parts.count == 1 ? [] : try ListenEntry.overrides(parts[1], of: kind)
        if let name = overrides.map(\.setting.name).first(where: { $0.hasPrefix("unix-socket-") }),
            address.hasPrefix("@")
        {
            throw Problem(description: "\(name) needs a path: the abstract socket \(address) has no permissions")
        }
        (self.kind, self.text) = (kind, text)
    }

    private static func overrides(_ text: String, of kind: Kind) throws(Problem) -> [(setting: Setting, value: String)]
    {
        var overrides: [(setting: Setting, value: String)] = []
        for pair in text.split(separator: "&", omittingEmptySubsequences: false) {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2 else { throw Problem(description: "'\(pair)' is not of the form NAME=VALUE") }
            guard kind.settings.contains(parts[0]), let setting = Settings.all.first(where: { $0.name == parts[0] })
            else {
                throw Problem(
                    description:
                        "\(kind.rawValue): takes no '\(parts[0])', but \(kind.settings.joined(separator: ", "))")
            }
            var trial = Settings()
            guard setting.set(&trial, parts[1]) else {
                throw Problem(description: "\(parts[0]): '\(parts[1])' is not \(setting.rule)")
            }
            if overrides.contains(where: { $0.setting.name == parts[0] }) {
                throw Problem(description: "\(parts[0]) is there twice")
            }
            overrides.append((setting: setting, value: parts[1]))
        }
        return overrides
    }
}

extension ListenEntry.Kind {
    /// The names of the settings that a place of this kind may have for itself.
    fileprivate var settings: [String] {
        let stream = ["transform", "service", "chargen-limit", "idle-timeout", "write-timeout", "backlog"]
        let tcp = stream + ["freebind"] + SocketSettings.all.map(\.name)
        return switch self {
        case .tcp: tcp
        case .tls: tcp + ["handshake-timeout"]
        case .unix: stream + ["unix-socket-mode", "unix-socket-owner", "unix-socket-group"]
        case .udp: ["transform", "service", "udp-rate", "dscp", "bind-device"]
        }
    }
}

extension ListenEntry: CustomStringConvertible {
    var description: String { text }
}
