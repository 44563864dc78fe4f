import GreenNet

/// A place at which the service listens, with its sockets.
struct OpenPlace: Sendable {
    /// Of no other place of the service, before or after.
    let id: Int
    /// Nil where a service manager has passed the sockets in.
    var entry: ListenEntry?
    /// For each set the sockets: one, or more where another instance or the manager has given them.
    let sockets: [[ListeningSocket]]
    /// Whether another instance has given them: until this one serves, the path of a unix socket is the other's.
    var isTaken = false

    var address: SocketAddress { sockets[0][0].address }

    /// Whether what listens here listens at `entry` too, where nothing but the settings of accepted connections differs.
    func serves(_ entry: ListenEntry) -> Bool {
        guard let own = self.entry else { return false }
        return own.endpoint == entry.endpoint && (own.kind == .unix) == (entry.kind == .unix)
    }

    /// For one that was just opened, and is not to serve.
    func abandon() {
        removePath()
        close()
    }

    /// Of a unix socket.
    func removePath() { if !isTaken { for socket in sockets[0] { socket.removePath() } } }

    /// With the sockets of these sets alone: those of one worker.
    func sets(_ range: Range<Int>) -> OpenPlace {
        OpenPlace(id: id, entry: entry, sockets: Array(sockets[range]), isTaken: isTaken)
    }

    /// In this process alone, whether others have the sockets or not.
    func close() { for socket in sockets.joined() { socket.close() } }
}

/// What a reload changes about the listeners of the service.
struct ListenerChange {
    /// All places, as they will be.
    let places: [OpenPlace]
    let added: [OpenPlace]
    let removed: [OpenPlace]
    /// Nil where all places will serve alike.
    let profiles: ListenerProfiles?
    /// What the places that are kept get of the new settings.
    var adjustments: [() throws(NetError) -> Void] = []
    /// Nil where nothing changes about datagrams.
    var datagrams: DatagramChange?

    var isEmpty: Bool { added.isEmpty && removed.isEmpty }

    /// Closes what was opened for it: it will not come about.
    func abandon() {
        for place in added { place.abandon() }
        datagrams?.abandon()
    }
}

extension [OpenPlace] {
    /// The sockets of a set.
    func sockets(ofSet index: Int) -> [ListeningSocket] { flatMap { $0.sockets[index] } }
    /// All sets; none where there is no place.
    var sets: [[ListeningSocket]] { isEmpty ? [] : self[0].sockets.indices.map { sockets(ofSet: $0) } }

    /// Nil where all serve alike.  `retired` are places at which the last clients are accepted.
    func profiles(_ settings: Settings, retired: [OpenPlace] = []) -> ListenerProfiles? {
        let all = self + retired
        guard ListenerProfiles.areNeeded(all.compactMap(\.entry), settings) else { return nil }
        return ListenerProfiles(
            all.compactMap { place in place.entry.map { .init(address: place.address, entry: $0) } })
    }
}
