/// A green thread, or a call of an `OffloadPool`, has failed, and no other code has asked how it ended.
public struct UnobservedFailure: CustomStringConvertible {
    /// The green thread, as dumps name it: `green thread 7 (resolver)`; or the call: `offloaded call (resolver)`.
    public let name: String
    /// What its body threw, or why it had no stack or OS thread.
    public let error: any Error
    /// Where it was spawned or submitted; nil where that is not recorded, as for fibers.
    public let spawnSite: SpawnSite?

    /// As in `green thread 7 (resolver) failed: connection refused (ECONNREFUSED)`.
    public var description: String { "\(name) failed: \(error)" }
}
