import GreenNet
import Synchronization

/// Chooses what is done to each connection of the service.
///
/// The random choices of a connection come from the seed and the connection's number, so that a run with the same seed and the same clients in the same order
/// can be repeated, whichever process serves them.
final class FaultInjector: @unchecked Sendable {
    // Unchecked: what is behind the pointer is atomic.
    private let settings: FaultSettings
    let seed: UInt64
    /// Connections so far, in memory that forked children share.
    private let count: UnsafeMutablePointer<Atomic<UInt64>>

    init(_ settings: FaultSettings) throws(StartFailure) {
        self.settings = settings
        seed = settings.seed.map { UInt64($0) } ?? UInt64.random(in: 0..<1 << 32)
        count = try SharedMemory.allocate(1, of: Atomic<UInt64>.self)
    }

    /// For a connection that begins now; nil where nothing is done to it.
    func next(for peer: SocketAddress) -> Fault? {
        let number = count.pointee.wrappingAdd(1, ordering: .relaxed).oldValue
        var seeds = SplitMix(seed: seed)
        var random = SplitMix(seed: seeds.next() &+ number &* 0xD1B5_4A32_D192_ED03)
        let plan = choose(for: peer, &random)
        return plan == .none ? nil : Fault(plan: plan, refusals: SplitMix(seed: random.next()), random: random)
    }

    private func choose(for peer: SocketAddress, _ random: inout SplitMix) -> FaultPlan {
        for rule in settings.rules {
            switch rule.scope {
            case .network(let ranges): if ranges.contains(peer) { return rule.plan }
            case .share(let share): if random.happens(share) { return rule.plan }
            }
        }
        return settings.plan
    }
}

/// What is done to one connection, and its random choices.
struct Fault: Sendable {
    let plan: FaultPlan
    /// Those that say whether it is refused.
    let refusals: SplitMix
    /// All others.
    let random: SplitMix
}

extension SplitMix {
    /// True with this probability, of 0 to 1.
    mutating func happens(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &self) < probability }
}
