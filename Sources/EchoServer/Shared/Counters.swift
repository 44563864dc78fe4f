import Glibc
import GreenNet
import Synchronization

/// What the server counts.
enum Counter: Int, CaseIterable {
    case accepted, messages, bytesIn, bytesOut
    case refusedFull, refusedPeerFull, refusedNoContext
    case lostBeforeAccept, acceptPaused
    case endedDone, endedPeerGone, endedIdle, endedSlow, endedCancelled, endedFailed, endedCrashed
    case workersRestarted

    init(_ end: ConnectionEnd) { self = Counter(rawValue: Counter.endedDone.rawValue + Int(end.rawValue))! }

    init(_ refusal: Refusal) {
        switch refusal {
        case .full: self = .refusedFull
        case .peerFull: self = .refusedPeerFull
        case .noContext: self = .refusedNoContext
        }
    }

    static let endings = ConnectionEnd.allCases.map { Counter($0) }
}

/// The counters of all hubs, OS threads and processes of the service, in memory that forked children share.
///
/// Each hub or worker has a row of its own, so that they don't fight for cache lines, and so that what a killed one leaves behind can be
/// accounted for.  Atomic, and never reset: a sum over the rows is right at any time.
///
/// Whoever looks is another OS thread or process, for which a processor such as AArch64 may swap two plain writes, or two reads.  So what is
/// added is released, and what is read is acquired: who sees a connection's end sees its acceptance too, where it reads that afterwards.
/// On x86-64 these are the same instructions as without.
final class Counters: @unchecked Sendable {
    // Unchecked: all that is behind the pointer is atomic.
    private let cells: UnsafeMutablePointer<Atomic<Int>>
    let rows: Int
    private static let stride = 32  // cells: whole cache lines

    init(rows: Int) throws(StartFailure) {
        self.rows = rows
        // It is zeroed: written to, all of it would be in use.
        cells = try SharedMemory.allocate(Counters.stride * rows, of: Atomic<Int>.self)
    }

    fileprivate func cells(of row: Int) -> UnsafeMutablePointer<Atomic<Int>> { cells + row * Counters.stride }

    func add(_ amount: Int = 1, to counter: Counter, row: Int) {
        cells(of: row)[counter.rawValue].wrappingAdd(amount, ordering: .releasing)
    }

    func value(of counter: Counter, row: Int) -> Int { cells(of: row)[counter.rawValue].load(ordering: .acquiring) }

    func total(_ counter: Counter) -> Int { (0..<rows).reduce(0) { $0 + value(of: counter, row: $1) } }

    /// Of all counters at one look.  Connections come and go meanwhile: what is open is reckoned from these, so that they always add up.
    struct Totals {
        private let values: [Int]

        /// The endings are read before what was accepted: one that comes in between makes more open connections, never fewer than none.
        fileprivate init(_ counters: Counters) {
            values = Counter.allCases.reversed().map { counters.total($0) }.reversed()
        }

        subscript(counter: Counter) -> Int { values[counter.rawValue] }

        var open: Int { self[.accepted] - Counter.endings.reduce(0) { $0 + self[$1] } }
    }

    var totals: Totals { Totals(self) }

    /// Connections accepted and not ended.  The endings are read first: one that comes in between makes it too large, never negative.
    func open(row: Int) -> Int {
        let ended = Counter.endings.reduce(0) { $0 + value(of: $1, row: row) }
        return value(of: .accepted, row: row) - ended
    }

    var open: Int { (0..<rows).reduce(0) { $0 + open(row: $1) } }

    /// The process behind `row` has died: so have its connections.
    func settleDeath(row: Int, as ending: Counter) { add(open(row: row), to: ending, row: row) }
}

/// The row that a hub, or OS threads or children together, write to: several times a message, so it is reached without a detour.
struct CounterRow: @unchecked Sendable {
    // Unchecked: all that is behind the pointer is atomic, and it is never freed.
    private let cells: UnsafeMutablePointer<Atomic<Int>>
    private let isOwn: Bool

    /// `isOwn`: nobody else writes to it, and no cache line has to be locked for it.
    init(counters: Counters, row: Int, isOwn: Bool = false) {
        cells = counters.cells(of: row)
        self.isOwn = isOwn
    }

    @inline(__always)
    func add(_ amount: Int = 1, to counter: Counter) {
        let cell = cells + counter.rawValue
        if isOwn {
            cell.pointee.store(cell.pointee.load(ordering: .relaxed) &+ amount, ordering: .releasing)
        } else {
            cell.pointee.wrappingAdd(amount, ordering: .releasing)
        }
    }
}
