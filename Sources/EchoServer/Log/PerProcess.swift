import Glibc
import Synchronization

/// A number that belongs to one process: a forked child begins without a number.
final class PerProcess: Sendable {
    /// The process's id in the upper half, the number in the lower; 0 for no number.
    private let cell = Atomic<UInt64>(0)

    private static func cell(_ number: UInt32) -> UInt64 { UInt64(UInt32(getpid())) << 32 | UInt64(number) }
    private static func isOwn(_ cell: UInt64) -> Bool { cell != 0 && cell >> 32 == UInt64(UInt32(getpid())) }
    private static func number(in cell: UInt64) -> UInt32? { isOwn(cell) ? UInt32(truncatingIfNeeded: cell) : nil }

    /// Nil where this process has set no number.
    var value: UInt32? { PerProcess.number(in: cell.load(ordering: .acquiring)) }

    /// Returns false where another OS thread has set a number before.
    func setIfMissing(_ number: UInt32) -> Bool {
        let old = cell.load(ordering: .relaxed)
        guard !PerProcess.isOwn(old) else { return false }
        return cell.compareExchange(
            expected: old, desired: PerProcess.cell(number), ordering: .acquiringAndReleasing
        ).exchanged
    }

    func add(_ amount: UInt32) {
        var old = cell.load(ordering: .relaxed)
        while true {
            let new = PerProcess.cell((PerProcess.number(in: old) ?? 0) &+ amount)
            let result = cell.compareExchange(expected: old, desired: new, ordering: .relaxed)
            if result.exchanged { return }
            old = result.original
        }
    }

    /// Returns the number and removes it; nil where there is none.
    func take() -> UInt32? {
        // Usually there is none: no system call for the process's id then.
        cell.load(ordering: .relaxed) == 0 ? nil : PerProcess.number(in: cell.exchange(0, ordering: .relaxed))
    }
}
