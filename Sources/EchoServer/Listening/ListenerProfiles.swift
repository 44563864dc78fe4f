import GreenNet

/// What differs between the places at which the service listens: found for a connection by its local address, once when it begins.
struct ListenerProfiles: Sendable {
    private let profiles: [Profile]

    struct Profile: Sendable {
        let address: SocketAddress
        let entry: ListenEntry
    }

    /// Of each place its address.
    init(_ profiles: [Profile]) { self.profiles = profiles }

    /// The place at which `connection` was accepted; nil where that is not known, as after it was reset.
    func entry(of connection: Connection) -> ListenEntry? {
        guard let local = try? connection.localAddress() else { return nil }
        return
            (profiles.first { $0.address.hasSamePlace(as: local) }
            ?? profiles.first { $0.address.isWildcard(of: local) })?
            .entry
    }

    /// Whether places differ from `settings`, so that a connection needs to know which is its own.
    static func areNeeded(_ entries: [ListenEntry], _ settings: Settings) -> Bool {
        entries.contains { $0.overridesSettings || $0.speaksTLS != (settings.tlsFiles != nil) }
    }
}

// MARK: - As words, for other processes

extension ListenerProfiles {
    /// A place as it was given, and its address behind it.
    var words: SharedWords.Words {
        profiles.flatMap { [("place", $0.entry.text), ("address", $0.address.word)] }
    }

    /// What `words` made, among others.  Nil where there is none.
    init?(_ words: SharedWords.Words) {
        func texts(_ name: String) -> [String] { words.filter { $0.name == name }.map(\.text) }
        let profiles = zip(texts("place"), texts("address")).compactMap { place, address -> Profile? in
            guard let entry = try? ListenEntry.entries(place).first,
                let address = try? SocketAddress(parsing: address)
            else { return nil }
            return Profile(address: address, entry: entry)
        }
        if profiles.isEmpty { return nil }
        self.init(profiles)
    }
}

extension SocketAddress {
    /// As `init(parsing:)` reads it.
    fileprivate var word: String {
        if case .unix(let path) = self { path.hasPrefix("@") ? path : "unix:" + path } else { "\(self)" }
    }

    fileprivate func hasSamePlace(as other: SocketAddress) -> Bool {
        if case .unix = self { return self == other }
        return mappedBits == other.mappedBits && port == other.port
    }

    fileprivate func isWildcard(of other: SocketAddress) -> Bool {
        hostBits.map { $0 == (0, 0) } ?? false && port == other.port
    }
}
