import Glibc
import GreenNet

/// Calls that wait inside the C library are made on other OS threads.
enum Offload {
    typealias Function = @convention(c) (UnsafeMutableRawPointer?) -> Void

    /// Grows by a call that finds no idle OS thread.  Look-ups that hang for callers who have left don't keep others from running.
    private static let pool = OffloadPool(limit: 64, givenUpLimit: 64)

    /// As the hook of `CGreenPatch.h`.
    static func run(
        _ work: @escaping Function, _ release: @escaping Function, _ record: UnsafeMutableRawPointer
    ) -> Int32 {
        let call = OffloadedCall(work, release, record)
        do {
            try pool.run { call.run() }
            return 0
        } catch is WaitError {
            return ECANCELED
        } catch {
            return EAGAIN
        }
    }
}

/// Releases its record when the pool has made the call, or has dropped it unmade.
// The record is the caller's until `run`, and has two owners from then on, which the C side counts.
private final class OffloadedCall: @unchecked Sendable {
    private let work: Offload.Function
    private let release: Offload.Function
    private let record: UnsafeMutableRawPointer

    init(_ work: @escaping Offload.Function, _ release: @escaping Offload.Function, _ record: UnsafeMutableRawPointer) {
        (self.work, self.release, self.record) = (work, release, record)
    }

    deinit { release(record) }

    func run() { work(record) }
}
