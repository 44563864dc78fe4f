import GreenNet
import Testing

/// As `onHub`, with a virtual clock: sleeps of hours take no time.
@discardableResult
package func onVirtualHub<R: Sendable>(
    seed: UInt64? = nil, _ limit: Duration = .seconds(60), sourceLocation: SourceLocation = #_sourceLocation,
    _ body: @escaping @Sendable () throws -> R
) throws -> R {
    try onOSThread(limit, sourceLocation: sourceLocation) {
        try withVirtualHub(seed: seed, sourceLocation, body)
    }
}

/// Runs `body` on a fresh hub for each of `count` seeds.  Each seed draws another order of the ready green threads.
package func onEverySeed(
    _ count: Int = Sanitizer.scaled(1000, address: 300, thread: 100), _ limit: Duration = .seconds(120),
    sourceLocation: SourceLocation = #_sourceLocation, _ body: @escaping @Sendable (UInt64) throws -> Void
) throws {
    try onOSThread(limit, sourceLocation: sourceLocation) {
        for seed in 0..<UInt64(count) {
            do {
                try withVirtualHub(seed: seed, sourceLocation) { try body(seed) }
            } catch {
                Issue.record("seed \(seed): \(error)", sourceLocation: sourceLocation)
                return
            }
        }
    }
}

/// Called on an OS thread that has no hub.
private func withVirtualHub<R>(seed: UInt64?, _ sourceLocation: SourceLocation, _ body: () throws -> R) throws -> R {
    Hub.startVirtual(seed: seed)
    defer { Hub.current.close() }
    Hub.current.onUnobservedFailure = { failure in
        Issue.record("\(failure), and no test asked; seed \(seed ?? 0)", sourceLocation: sourceLocation)
    }
    let result = try body()
    expectNoGreenThreads(sourceLocation)
    return result
}
