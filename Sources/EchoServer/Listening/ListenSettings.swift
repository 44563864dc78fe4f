import GreenNet

/// Where to listen: one place by host and port or unix-socket, or several by listen.
enum ListenSettings {
    static let all = [
        Setting(
            "listen", \.listen, ListenEntry.rule, parse: { try? ListenEntry.entries($0) }, reason: ListenEntry.reason,
            show: { $0.isEmpty ? "none" : $0.map(\.text).joined(separator: ",") })
    ]

    /// Throws where listen does not go with another setting.
    static func check(_ settings: Settings, _ sources: SettingSources) throws(StartFailure) {
        guard let (listen, origin) = sources.pick("listen") else { return }
        for name in ["host", "port", "unix-socket"] {
            guard let (text, origin) = sources.pick(name) else { continue }
            throw origin.failure("'\(text)' does not go with listen, which is \(listen)")
        }
        guard settings.listen.contains(where: { $0.kind != .udp }) else {
            throw origin.failure("'\(listen)' needs a place for connections: tcp:, tls: or unix:")
        }
        if let entry = settings.doubledEntry { throw origin.failure("'\(listen)' has \(entry) twice") }
        if settings.tlsFiles == nil, let entry = settings.listen.first(where: \.speaksTLS) {
            throw origin.failure("'\(entry)' needs tls-certificate and tls-key")
        }
    }
}

extension Settings {
    /// Where connections are accepted, unless a service manager passes sockets in.
    var streamEntries: [ListenEntry] {
        if listen.isEmpty { return [ListenEntry(tlsFiles == nil ? .tcp : .tls, endpoint)] }
        return listen.filter { $0.kind != .udp }
    }

    /// A place of connections, or of datagrams, that an earlier one has already; a place with port 0 gets a port of its own.
    fileprivate var doubledEntry: ListenEntry? {
        let streams = streamEntries
        return streams.firstDoubled ?? ((services.servesDatagrams ? streams : []) + datagramEntries).firstDoubled
    }

    /// Where datagrams are served, besides at the places of TCP.
    var datagramEntries: [ListenEntry] { listen.filter { $0.kind == .udp } }
}

extension [ListenEntry] {
    fileprivate var firstDoubled: ListenEntry? {
        indices.first { place in
            if case .host(_, port: 0) = self[place].endpoint { return false }
            return self[..<place].contains { $0.endpoint == self[place].endpoint }
        }.map { self[$0] }
    }
}
