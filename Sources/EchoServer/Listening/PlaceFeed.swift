import GreenNet

/// Adds listeners to the servers of this process, and takes them away, as a reload in the first process wants it.
///
/// Belongs to the process's first hub.
final class PlaceFeed {
    private let server: StreamServer
    private let others: [WorkerHub]

    /// `server` is that of the current hub.
    init(_ server: StreamServer, _ others: [WorkerHub]) { (self.server, self.others) = (server, others) }

    private var hubs: Int { 1 + others.count }

    /// With a set of sockets for each hub.
    func add(_ sets: [[ListeningSocket]]) {
        for (hub, sockets) in sets.enumerated() {
            onHub(hub) { server in for socket in sockets { server.add(Listener(socket, ownsPath: false)) } }
        }
    }

    /// What the kernel has queued there is accepted first.
    func remove(_ sets: [[ListeningSocket]]) {
        for (hub, sockets) in sets.enumerated() {
            let numbers = Set(sockets.map(\.descriptor))
            onHub(hub) { server in
                for listener in server.listeners where numbers.contains(listener.descriptor) { server.remove(listener) }
            }
        }
    }

    private func onHub(_ hub: Int, _ body: @escaping @Sendable (StreamServer) -> Void) {
        if hub == 0 { body(server) } else { others[hub - 1].perform(.changeListeners, body) }
    }

    // MARK: - In a worker process

    /// Does what the first process says over `channel`, until that is closed.  `places` are those that this process has begun with, with the sockets of its hubs.
    func follow(_ channel: Connection, _ places: [OpenPlace]) throws {
        var known = Dictionary(uniqueKeysWithValues: places.map { ($0.id, $0.sockets) })
        var reader = PlaceMessageReader(channel)
        while let message = try reader.next() {
            switch message {
            case .add(let id, let sockets):
                let each = sockets.count / hubs
                let sets = (0..<hubs).map { Array(sockets[$0 * each..<($0 + 1) * each]) }
                known[id] = sets
                add(sets)
            case .remove(let id):
                if let sets = known.removeValue(forKey: id) { remove(sets) }
            }
        }
    }
}
