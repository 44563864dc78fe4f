import GreenNet
import Synchronization

/// The limits of the whole service: how many connections there are, and how many of one peer, over all its hubs and processes.
///
/// In memory that forked children share, under a lock that survives the death of its holder.  What each row (a hub or a worker) has taken is
/// counted separately, so that it can be given back for a worker that was killed.
final class SharedAdmission: @unchecked Sendable {
    // Unchecked: all but `placesNow`, which is atomic, is touched under the lock only.
    private let lock: WorkerLock
    /// Places taken: in all, and by each row.
    private let taken: SharedCells
    private let rows: Int
    /// Nil without a limit for each peer.
    private let peers: PeerTable?
    private let placesPerPeer: Int
    /// Asked for each connection: a reload changes them.  Nil where all clients are served, and no peer is a proxy.
    private let rules: @Sendable () -> AdmissionRules?
    private let ipv6Prefix: Int
    /// Nil where connections may come at any rate.
    private let rates: RateTable?
    private let placesNow: UnsafeMutablePointer<Atomic<Int>>

    private static let all = 0

    /// `most` is the largest value that `places` can get later.  Without `rules`, those of `policy` stay.
    init(
        places: Int, most: Int, perPeer placesPerPeer: Int?, policy: ClientPolicy = ClientPolicy(),
        rules: (@Sendable () -> AdmissionRules?)? = nil, rows: Int
    ) throws(StartFailure) {
        (self.rows, self.placesPerPeer) = (rows, placesPerPeer ?? .max)
        self.rules = rules ?? { AdmissionRules(policy) }
        ipv6Prefix = policy.ipv6Prefix
        rates = if let rate = policy.rate { try RateTable(rate) } else { nil }
        let taken = try SharedCells(count: 1 + rows)
        let peers: PeerTable? = if placesPerPeer == nil { nil } else { try PeerTable(connections: most, rows: rows) }
        (self.taken, self.peers) = (taken, peers)
        lock = try WorkerLock {
            taken.undo()
            peers?.undo()
        }
        placesNow = try SharedMemory.allocate(1, of: Atomic<Int>.self)
        self.places = places
    }

    /// The OS thread that holds the lock, for which all others wait; nil where there is none.
    var lockHolder: WorkerLock.Holder? { lock.holder }

    // MARK: Places

    /// The limit of connections at once.
    var places: Int {
        get { placesNow.pointee.load(ordering: .relaxed) }
        set { placesNow.pointee.store(newValue, ordering: .relaxed) }
    }

    var hasPlace: Bool { lock.locked { taken[SharedAdmission.all] < places } }

    fileprivate func reserve(row: Int) -> Bool {
        lock.locked {
            guard taken[SharedAdmission.all] < places else { return false }
            take(1, row)
            return true
        }
    }

    fileprivate func release(row: Int) { lock.locked { take(-1, row) } }

    private func take(_ count: Int, _ row: Int) {
        taken.add(count, to: SharedAdmission.all)
        taken.add(count, to: 1 + row)
        taken.commit()
    }

    // MARK: Peers

    /// Whether the address of this peer is not that of the client.
    fileprivate func isProxy(_ peer: SocketAddress) -> Bool { rules()?.proxies?.contains(peer) ?? false }

    /// What the connections of a client are counted by: its address, or the prefix that it shares with others.  Nil where they are not counted.
    func key(of client: SocketAddress) -> PeerTable.Address? {
        if peers == nil, rates == nil { return nil }
        guard case .ipv6 = client.unmapped, let bits = client.mappedBits else { return client.unmapped.hostBits }
        let prefix = bits & UInt128.max << UInt128(128 - ipv6Prefix)
        return (UInt64(prefix >> 64), UInt64(truncatingIfNeeded: prefix))
    }

    func admitClient(_ client: SocketAddress, row: Int) -> ClientRefusal? {
        if let rules = rules(), rules.policy.denies(client) { return .denied }
        guard let key = key(of: client) else { return nil }
        return lock.locked { count(key, row: row) }
    }

    /// Refuses a new address where the table has no room for it.  The table has room for as many addresses as there can be connections.
    private func count(_ key: PeerTable.Address, row: Int) -> ClientRefusal? {
        if let peers, peers.count(of: key) >= placesPerPeer { return .peerFull }
        if let rates, !rates.take(key) { return .tooFast }
        guard let peers else { return nil }
        guard peers.add(key, row: row) else { return .peerFull }
        peers.commit()
        return nil
    }

    func leaveClient(_ client: SocketAddress, row: Int) {
        if let key = key(of: client) { leaveClient(key: key, row: row) }
    }

    func leaveClient(key: PeerTable.Address, row: Int) {
        guard let peers else { return }
        lock.locked {
            peers.remove(key, row: row)
            peers.commit()
        }
    }

    // MARK: Deaths

    /// How many addresses of a dead row are given back at a time: the other rows wait for the lock meanwhile, less than a millisecond.
    static let batch = 512

    /// The process behind `row` has died: gives back some of what it held.  Returns whether that was all; if not, the caller calls again soon, and
    /// starts no other process for the row before.  Does not wait for the lock: its holder may have been stopped.
    func settleDeath(row: Int) -> Bool {
        lock.lockedIfFree {
            take(-taken[1 + row], row)
            guard let peers else { return true }
            for _ in 0..<SharedAdmission.batch {
                guard peers.removeSome(of: row) else { return true }
                peers.commit()
            }
            return false
        } ?? false
    }
}

/// The limits as one hub or worker sees them.
final class AdmissionRow: Admission {
    private let shared: SharedAdmission
    private let row: Int
    let lookInterval: Duration?
    /// Why `admit` has refused the last peer.
    private(set) var lastRefusal: ClientRefusal?
    /// Open connections of peers that were proxies when they came, and are not counted: a reload may have changed who is one.
    @exclusivity(unchecked)  // Nothing parks during such an access.
    private var proxied: [SocketAddress: Int] = [:]

    init(_ shared: SharedAdmission, row: Int, of rows: Int) {
        (self.shared, self.row) = (shared, row)
        // A single row waits for a larger limit only.
        lookInterval = .milliseconds(rows > 1 ? 10 : 250)
    }

    func reserve() -> Bool { shared.reserve(row: row) }
    func release() { shared.release(row: row) }

    /// What a refusal counts as: the server knows only that there is something about the peer.
    func counter(of refusal: Refusal) -> Counter {
        if case .peerFull = refusal, let lastRefusal { return Counter(lastRefusal) }
        return Counter(refusal)
    }

    func admit(_ peer: SocketAddress) -> Bool {
        if shared.isProxy(peer) {
            proxied[peer, default: 0] += 1
            return true
        }
        lastRefusal = shared.admitClient(peer, row: row)
        return lastRefusal == nil
    }

    func leave(_ peer: SocketAddress) {
        guard let count = proxied[peer] else { return shared.leaveClient(peer, row: row) }
        proxied[peer] = count == 1 ? nil : count - 1
    }
}
