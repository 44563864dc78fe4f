import GreenNet

/// The limits of the whole service: how many connections there are, and how many of one peer, over all its hubs and processes.
///
/// Lies in memory that forked children share, under a lock that survives the death of whoever held it.  What each row (a hub or a worker)
/// has taken is kept apart, so that it can be given back for one that was killed.
final class SharedAdmission: @unchecked Sendable {
    // Unchecked: all of it is touched under the lock only.
    private let lock: SharedLock
    private let taken: UnsafeMutablePointer<Int32>  // by each row
    private let peers: UnsafeMutablePointer<Peer>
    private let peerCounts: UnsafeMutablePointer<Int32>  // peers x rows
    private let peerSlots: Int
    private let rows: Int
    private let placesNow: UnsafeMutablePointer<Int>
    private let placesPerPeer: Int?

    /// One address that has connections, or had.
    private struct Peer {
        var isUsed = false
        var address = (UInt64(0), UInt64(0))
        var count: Int32 = 0
    }

    /// `most` is what `places` can become, at most.
    init(places: Int, most: Int, perPeer placesPerPeer: Int?, rows: Int) throws(StartFailure) {
        (self.placesPerPeer, self.rows) = (placesPerPeer, rows)
        lock = try SharedLock()
        placesNow = try SharedMemory.allocate(1, of: Int.self)
        placesNow.pointee = places
        taken = try SharedMemory.allocate(rows, of: Int32.self)
        // More than there can be peers with a connection, so that there is always one to reuse.
        peerSlots = placesPerPeer == nil ? 1 : most * 2
        peers = try SharedMemory.allocate(peerSlots, of: Peer.self)
        peerCounts = try SharedMemory.allocate(peerSlots * rows, of: Int32.self)
    }

    /// What a process killed inside has left half done is put right by `settleDeath`, as all else of it.
    private func locked<Value>(_ body: () -> Value) -> Value { lock.locked(body) }

    // MARK: Places

    /// How many connections there may be at once.
    var places: Int {
        get { locked { placesNow.pointee } }
        set { locked { placesNow.pointee = newValue } }
    }

    fileprivate func reserve(row: Int) -> Bool {
        locked {
            guard (0..<rows).reduce(0, { $0 + Int(taken[$1]) }) < placesNow.pointee else { return false }
            taken[row] += 1
            return true
        }
    }

    fileprivate func release(row: Int) { locked { taken[row] -= 1 } }

    // MARK: Peers

    fileprivate func admit(_ peer: SocketAddress, row: Int) -> Bool {
        guard let placesPerPeer, let address = peer.hostBits else { return true }
        return locked {
            let slot = slotToUse(for: address)
            guard peers[slot].count < placesPerPeer else { return false }
            peers[slot].count += 1
            peerCounts[slot * rows + row] += 1
            return true
        }
    }

    fileprivate func leave(_ peer: SocketAddress, row: Int) {
        guard placesPerPeer != nil, let address = peer.hostBits else { return }
        locked {
            guard let slot = slots(from: address).first(where: { peers[$0].isUsed && peers[$0].address == address })
            else {
                return
            }
            peers[slot].count -= 1
            peerCounts[slot * rows + row] -= 1
            forget(slot)
        }
    }

    /// The peer's own, else one that nobody needs any more.
    private func slotToUse(for address: (UInt64, UInt64)) -> Int {
        var reusable: Int?
        for slot in slots(from: address) {
            if peers[slot].isUsed && peers[slot].address == address { return slot }
            if reusable == nil && peers[slot].count == 0 { reusable = slot }
            if !peers[slot].isUsed { break }
        }
        peers[reusable!] = Peer(isUsed: true, address: address)
        return reusable!
    }

    /// Unused again, where nobody looks for another one behind it: searches stay short so.
    private func forget(_ last: Int) {
        var slot = last
        while peers[slot].isUsed, peers[slot].count == 0, !peers[(slot + 1) % peerSlots].isUsed {
            peers[slot].isUsed = false
            slot = (slot + peerSlots - 1) % peerSlots
        }
    }

    /// All of them, beginning where the address hashes to.
    private func slots(from address: (UInt64, UInt64)) -> some Sequence<Int> {
        let mixed = (address.0 ^ address.1 &* 0x9e37_79b9_7f4a_7c15) &* 0xff51_afd7_ed55_8ccd
        let start = Int(mixed >> 33) % peerSlots
        return (0..<peerSlots).lazy.map { (start + $0) % self.peerSlots }
    }

    // MARK: Deaths

    /// The process behind `row` has died: gives back all that it held.
    func settleDeath(row: Int) {
        locked {
            taken[row] = 0
            guard placesPerPeer != nil else { return }
            for slot in 0..<peerSlots where peers[slot].isUsed {
                peers[slot].count -= peerCounts[slot * rows + row]
                peerCounts[slot * rows + row] = 0
            }
        }
    }
}

/// The limits as one hub or worker sees them.
final class AdmissionRow: Admission {
    private let shared: SharedAdmission
    private let row: Int
    let lookInterval: Duration?

    init(_ shared: SharedAdmission, row: Int, of rows: Int) {
        (self.shared, self.row) = (shared, row)
        // Alone, it waits for nothing but a larger limit.
        lookInterval = .milliseconds(rows > 1 ? 10 : 250)
    }

    func reserve() -> Bool { shared.reserve(row: row) }
    func release() { shared.release(row: row) }
    func admit(_ peer: SocketAddress) -> Bool { shared.admit(peer, row: row) }
    func leave(_ peer: SocketAddress) { shared.leave(peer, row: row) }
}
