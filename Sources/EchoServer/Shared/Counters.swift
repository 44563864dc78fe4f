import Glibc
import GreenNet
import ProgramKit
import Synchronization

/// What the server counts.
enum Counter: Int, CaseIterable {
    case accepted, reads, bytesIn, bytesOut
    case refusedFull, refusedPeerFull, refusedNoContext
    case lostBeforeAccept, acceptPaused
    case endedDone, endedPeerGone, endedIdle, endedSlow, endedCancelled, endedFailed, endedCrashed
    case workersRestarted
    /// By how many a pool is larger than at least.  It goes down, too.
    case poolExtra
    case tlsHandshakes, tlsFailures
    case refusedDenied, refusedTooFast
    case recordsWritten, recordsDropped
    case proxyHeaders
    case proxyAbsent, proxyCut, proxyLate, proxyTooLong, proxyMalformed, proxyChecksum, proxyDoubled, proxyUntrusted
    case faultsRefused, faultsReset, faultsClosed, faultsTruncated, faultsStalled
    case datagramsReceived, datagramsAnswered, datagramsRefused, datagramsDenied, datagramsLimited, datagramsFailed

    init(_ end: ConnectionEnd) { self = Counter(rawValue: Counter.endedDone.rawValue + Int(end.rawValue))! }

    init(_ refusal: Refusal) {
        switch refusal {
        case .full: self = .refusedFull
        case .peerFull: self = .refusedPeerFull
        case .noContext: self = .refusedNoContext
        }
    }

    init(_ reason: ProxyHeaderError.Reason) {
        self =
            switch reason {
            case .absent: .proxyAbsent
            case .cut: .proxyCut
            case .late: .proxyLate
            case .tooLong: .proxyTooLong
            case .malformed: .proxyMalformed
            case .checksum: .proxyChecksum
            case .doubled: .proxyDoubled
            case .untrusted: .proxyUntrusted
            }
    }

    init(_ refusal: ClientRefusal) {
        self =
            switch refusal {
            case .peerFull: .refusedPeerFull
            case .denied: .refusedDenied
            case .tooFast: .refusedTooFast
            }
    }

    static let endings = ConnectionEnd.allCases.map { Counter($0) }
}

/// The counters of all hubs, OS threads and processes of the service, in memory that forked children share.
///
/// Each hub or worker has a row of its own: rows share no cache lines, and the row of a killed worker shows which connections it had.
/// Atomic, and never reset: a sum over the rows is right at any time.
///
/// The reader is another OS thread or process, for which a processor such as AArch64 may swap two plain writes, or two reads.  So an addition
/// releases, and a read acquires: a reader that sees a connection's end sees its acceptance too, if it reads the acceptance afterwards.
/// On x86-64 the instructions are those of plain reads and writes.
final class Counters: @unchecked Sendable {
    // Unchecked: all that is behind the pointer is atomic.
    private let cells: UnsafeMutablePointer<Atomic<Int>>
    let rows: Int
    private static let stride = 64  // cells: whole cache lines
    /// All of the memory, where a fork server has it too; nil where there is none.
    let passed: PassedMemory?

    init(rows: Int, forForkServer isPassed: Bool = false) throws(StartFailure) {
        self.rows = rows
        let count = Counters.stride * rows
        passed = if isPassed { try PassedMemory(count) } else { nil }
        // It is zeroed: written to, all of it would be in use.
        cells = if let passed { passed.cells } else { try SharedMemory.allocate(count, of: Atomic<Int>.self) }
    }

    fileprivate func cells(of row: Int) -> UnsafeMutablePointer<Atomic<Int>> { cells + row * Counters.stride }

    func add(_ amount: Int = 1, to counter: Counter, row: Int) {
        cells(of: row)[counter.rawValue].wrappingAdd(amount, ordering: .releasing)
    }

    func value(of counter: Counter, row: Int) -> Int { cells(of: row)[counter.rawValue].load(ordering: .acquiring) }

    func total(_ counter: Counter) -> Int { (0..<rows).reduce(0) { $0 + value(of: counter, row: $1) } }

    /// All counters at one time.  Connections come and go meanwhile: `open` is computed from these, so that the numbers always add up.
    struct Totals {
        private let values: [Int]

        /// Reads the endings before `accepted`: a connection that comes in between makes `open` larger, never negative.
        fileprivate init(_ counters: Counters) {
            values = Counter.allCases.reversed().map { counters.total($0) }.reversed()
        }

        subscript(counter: Counter) -> Int { values[counter.rawValue] }

        var open: Int { self[.accepted] - Counter.endings.reduce(0) { $0 + self[$1] } }
    }

    var totals: Totals { Totals(self) }

    /// Connections accepted and not ended.  Reads the endings first: a connection that comes in between makes the number too large, never negative.
    func open(row: Int) -> Int {
        let ended = Counter.endings.reduce(0) { $0 + value(of: $1, row: row) }
        return value(of: .accepted, row: row) - ended
    }

    var open: Int { (0..<rows).reduce(0) { $0 + open(row: $1) } }

    /// The process behind `row` has died: its connections have ended.
    func settleDeath(row: Int, as ending: Counter) { add(open(row: row), to: ending, row: row) }
}

/// The row that a hub writes to, or that OS threads or children write to together: several times for each read, so it has a pointer to the cells.
struct CounterRow: @unchecked Sendable {
    // Unchecked: all that is behind the pointer is atomic, and it is never freed.
    private let cells: UnsafeMutablePointer<Atomic<Int>>
    private let isOwn: Bool

    /// `isOwn`: one OS thread alone writes to the row, so that no addition needs a locked instruction.
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
