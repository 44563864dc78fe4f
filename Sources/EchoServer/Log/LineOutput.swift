import GreenNet
import Synchronization

/// Writes whole lines into a descriptor that may take none or a part of one, as a full disk does.  After a part, the next line begins with an end of line.
///
/// Any OS thread may write.
final class LineOutput: Sendable {
    private let isOpen = Atomic(false)

    /// Returns whether all of `line`, with its end, was taken.
    func put(_ line: [UInt8], to output: LossyOutput) -> Bool {
        let wasOpen = isOpen.exchange(false, ordering: .relaxed)
        let bytes = wasOpen ? [UInt8(ascii: "\n")] + line : line
        let count = bytes.withUnsafeBytes { output.write($0) }
        if count == bytes.count { return true }
        isOpen.store(count > (wasOpen ? 1 : 0) || wasOpen && count == 0, ordering: .relaxed)
        return false
    }
}
