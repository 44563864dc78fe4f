import GreenNet
import Synchronization

/// The rate of new connections of each address, in memory that forked children share.  The caller holds a lock.
///
/// Each address has the time at which all its connections would have come at the rate, one after the other: a further one moves that time on, and is too early
/// where the time is further ahead than the rate's own.  An address may so use up its rate at once, and then gets a connection in each interval.
///
/// The table has a fixed size, and four entries where an address may be.  With more addresses than that at once, the one that is idle for the longest time is
/// forgotten, and begins anew.  A process that is killed in the middle of a change leaves one address with a wrong time.
struct RateTable: @unchecked Sendable {
    // Unchecked: touched under the lock only.
    /// For each entry a hash of its address and its time, in nanoseconds.
    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    private let interval: UInt64
    private let tolerance: UInt64
    /// Random and secret: a client with many addresses could otherwise choose addresses that push out another's.
    private let seed = (UInt64.random(in: 0 ... .max), UInt64.random(in: 0 ... .max))

    static let ways = 4
    private static let buckets = 1 << 14

    init(_ rate: ConnectionRate) throws(StartFailure) {
        words = try SharedMemory.allocate(2 * RateTable.ways * RateTable.buckets, of: Atomic<UInt64>.self)
        interval = UInt64(rate.interval.nanoseconds)
        tolerance = UInt64(rate.time.nanoseconds) - interval
    }

    /// Returns whether a connection of the address may begin now, and counts it then.
    func take(_ key: PeerTable.Address, at now: Deadline = .now) -> Bool {
        let now = UInt64(now.nanoseconds)
        let (high, low) = (key.0 ^ seed.0).multipliedFullWidth(by: key.1 ^ seed.1)
        // 0 is that of an entry which no address has had.
        let tag = max(1, high ^ low)
        let bucket = Int(truncatingIfNeeded: low >> 32) & (RateTable.buckets - 1)
        let entry = find(tag, in: bucket)
        let isKnown = words[entry].load(ordering: .relaxed) == tag
        let time = isKnown ? max(now, words[entry + 1].load(ordering: .relaxed)) : now
        guard time - now <= tolerance else { return false }
        words[entry].store(tag, ordering: .relaxed)
        words[entry + 1].store(time + interval, ordering: .relaxed)
        return true
    }

    /// The entry of the address, or else the one that has been idle for the longest time.
    private func find(_ tag: UInt64, in bucket: Int) -> Int {
        let entries = (0..<RateTable.ways).map { 2 * (RateTable.ways * bucket + $0) }
        return entries.first { words[$0].load(ordering: .relaxed) == tag }
            ?? entries.min { words[$0 + 1].load(ordering: .relaxed) < words[$1 + 1].load(ordering: .relaxed) }!
    }
}
