import Glibc
import GreenNet
import TestSupport
import Testing

/// The samples of a server in a soak.
struct SoakRecord {
    let model: ServerModel
    let seed: UInt64
    let before: SoakSample
    let samples: [SoakSample]
    let after: SoakSample
    let tally: SoakTally
    let kills: Int

    /// The bytes by which the memory of a process may rise after the warm-up: the allocator does not give all back at once.
    static let mostGrowth = 1.0 * 1024 * 1024

    /// After this time caches are full, and the allocator has the memory that it needs.
    private static let warmUp = 20.0

    /// The samples after the warm-up and after a quarter of the time at least; empty if the soak was too short.
    private var warm: [SoakSample] {
        let end = max(SoakRecord.warmUp, after.seconds / 4)
        return after.seconds < end * 2 ? [] : samples.filter { $0.seconds > end }
    }

    /// The trend of memory for each process that ran all the time.
    private var trends: [pid_t: Trend] {
        let lasting = before.memory.keys.filter { pid in warm.allSatisfy { $0.memory[pid] != nil } }
        let trends = lasting.map { pid in (pid, Trend(warm.map { ($0.seconds, Double($0.memory[pid]!)) })) }
        return Dictionary(uniqueKeysWithValues: trends.compactMap { pid, trend in trend.map { (pid, $0) } })
    }

    func expectNothingLeft() {
        for (pid, trend) in trends where Sanitizer.active == .none {
            #expect(trend.growth < SoakRecord.mostGrowth, "the memory of process \(pid) grows:\n\(text)")
        }
        #expect(after.descriptors == before.descriptors, "\(text)")
        #expect(after.children == before.children, "\(text)")
        #expect(after.greenThreads == before.greenThreads, "\(text)")
        // A stack for each simultaneous client; some clients connected again before the server had released their last connection.
        let clients = SoakClient.allCases.reduce(0) { $0 + $1.count(for: model) }
        #expect(after.stacks <= before.stacks + 4 * clients, "\(text)")
    }

    func expectCountsToAddUp() {
        for sample in samples { #expect(sample.open >= 0, "\(text)") }
        #expect(after.open == 0, "\(text)")
        #expect(after.accepted == after.endedInAll, "\(text)")
        #expect(after.accepted <= tally.attempts, "\(text)")
        // A killed process may have accepted connections that it had not counted yet.
        if kills == 0 { #expect(after.accepted == tally.connected, "\(text)") }
        for end in ["done", "peer_gone"] { #expect(after.ended[end]! > 0, "\(text)") }
    }

    var text: String {
        let endings = after.ended.sorted { $0.key < $1.key }.filter { $0.value > 0 }.map { "\($0.key) \($0.value)" }
        let memory = trends.sorted { $0.key < $1.key }.map { pid, trend in
            let (now, growth) = (warm.last!.memory[pid]! >> 10, Int(trend.growth) >> 10)
            return "process \(pid): \(now) KiB, \(growth) KiB more in \(Int(trend.seconds)) s"
        }
        return """
            \(model.testDescription), seed \(seed), \(Int(samples.last?.seconds ?? 0)) s:
              connections: \(after.accepted) accepted, \(tally.connected) connected, \(tally.lost) lost; \(kills) kills
              ended: \(endings.joined(separator: ", "))
              answers: \(tally.answers), all of them right
              \(memory.isEmpty ? "too short to tell where the memory goes" : memory.joined(separator: "\n  "))
              before and after: descriptors \(before.descriptors), \(after.descriptors); threads \(before.threads), \(after.threads); \
            children \(before.children), \(after.children); green threads \(before.greenThreads), \(after.greenThreads); \
            stacks \(before.stacks), \(after.stacks)
            """
    }
}
