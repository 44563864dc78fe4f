import Foundation
import GreenNet

/// Runs `body` on an OS thread of its own, which has a fresh hub, and ends it after a minute.  Returns or throws as `body` does, once the hub is closed.
public func onHub<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        let thread = Thread {
            continuation.resume(
                with: Result {
                    defer { Hub.current.close() }
                    return try withTimeout(.seconds(60), body)
                })
        }
        thread.stackSize = 8 << 20
        thread.start()
    }
}

/// The same numbers in every run, so that a failure repeats.
public struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    /// Each seed gives other numbers.
    public init(seed: UInt64) { state = seed &+ 1 }

    /// The next number.
    public mutating func next() -> UInt64 {
        // SplitMix64.
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
