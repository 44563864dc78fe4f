import GreenNet
import Synchronization

/// What differs between the places at which the service listens: found for a connection by its local address, once when it begins.
///
/// Set before the service forks and before it accepts.
final class ListenerProfiles: Sendable {
    private let profiles = Mutex<[Profile]>([])

    private struct Profile {
        let address: SocketAddress
        let entry: ListenEntry
    }

    /// The socket of each entry.
    func set(_ entries: [(ListenEntry, SocketAddress)]) {
        profiles.withLock { $0 = entries.map { Profile(address: $0.1, entry: $0.0) } }
    }

    /// The place at which `connection` was accepted; nil where that is not known, as after it was reset.
    func entry(of connection: Connection) -> ListenEntry? {
        guard let local = try? connection.localAddress() else { return nil }
        return profiles.withLock { profiles in
            (profiles.first { $0.address.hasSamePlace(as: local) }
                ?? profiles.first { $0.address.isWildcard(of: local) })?
                .entry
        }
    }
}

extension SocketAddress {
    fileprivate func hasSamePlace(as other: SocketAddress) -> Bool {
        if case .unix = self { return self == other }
        return mappedBits == other.mappedBits && port == other.port
    }

    fileprivate func isWildcard(of other: SocketAddress) -> Bool {
        hostBits.map { $0 == (0, 0) } ?? false && port == other.port
    }
}
