import GreenNet
import Synchronization

/// What one OS thread's connections have done so far, for others to look at, and when they shall stop.
///
/// Each counter has one writer, so that counting needs no locked instruction.
struct Tally: @unchecked Sendable {
    // Unchecked: all that is behind the pointer is atomic.
    private let cells: UnsafeMutablePointer<Atomic<Int>>
    private static let stop = Counter.allCases.count
    private static let end = stop + 1

    enum Counter: Int, CaseIterable {
        case opened, messages, bytes, failures
    }

    /// Never freed: it lives as long as the process.
    init() {
        // Two cache lines and more of its own: the neighbours' counters are not fought for.
        cells = .allocate(capacity: 32)
        for index in 0..<32 { (cells + index).initialize(to: Atomic(0)) }
        cells[Tally.stop].store(.max, ordering: .relaxed)
        cells[Tally.end].store(.max, ordering: .relaxed)
    }

    /// By its one writer.
    @inline(__always)
    func add(_ amount: Int, to counter: Counter) {
        let cell = cells + counter.rawValue
        cell.pointee.store(cell.pointee.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    func value(of counter: Counter) -> Int { cells[counter.rawValue].load(ordering: .relaxed) }

    /// After which nothing new is asked for, in nanoseconds of the monotonic clock.
    @inline(__always)
    var stop: Int64 { Int64(cells[Tally.stop].load(ordering: .relaxed)) }

    /// From anywhere: now, or at a moment, unless it stops before.
    func stop(at moment: Deadline) {
        _ = cells[Tally.stop].min(Int(moment.nanoseconds), ordering: .relaxed)
    }

    /// After which no answer is waited for: what is in flight then stays so.
    var end: Deadline { Deadline(nanoseconds: Int64(cells[Tally.end].load(ordering: .relaxed))) }

    /// From anywhere: at a moment, unless it ends before.
    func end(at moment: Deadline) {
        _ = cells[Tally.end].min(Int(moment.nanoseconds), ordering: .relaxed)
    }
}
