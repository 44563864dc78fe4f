import GreenNet

/// The measurements of the comparison with peers.
final class PeersRun {
    let plan: PeerPlan
    let places: PeerPlaces
    let speed: Samples
    let memory: Samples
    let calls: Samples
    let instructions: Samples
    let lines: Samples
    private(set) var roster: PeerRoster
    /// Measurements without a server that failed in them.
    private(set) var failures: [String] = []
    /// Those that have what they need.
    private(set) var extras: [PeerExtra]

    init(_ plan: PeerPlan, _ roster: PeerRoster, _ places: PeerPlaces, folder: String) throws {
        (self.plan, self.roster, self.places, extras) = (plan, roster, places, plan.extras)
        speed = try Samples("\(folder)/peers.csv", columns: PeersRun.speedColumns)
        memory = try Samples("\(folder)/peers-memory.csv", columns: IdleMemory.columns)
        calls = try Samples("\(folder)/peers-calls.csv", columns: ["calls"])
        instructions = try Samples("\(folder)/peers-instructions.csv", columns: ["user", "kernel"])
        lines = try Samples("\(folder)/peers-lines.csv", columns: ["lines"])
    }

    private static let speedColumns = [
        "messages_per_second", "server_us", "generator_us", "p50_us", "p99_us", "server_busy", "generator_busy",
    ]

    static func group(_ arrangement: Arrangement, _ load: PeerLoad) -> String { "\(arrangement.rawValue):\(load.name)" }

    func loads(_ arrangement: Arrangement) -> [PeerLoad] { arrangement == .shared ? plan.loads : plan.apartLoads }

    func measure() throws {
        installTools()
        for round in 1...plan.rounds {
            for arrangement in Arrangement.allCases {
                for load in loads(arrangement) { try measure(load, arrangement, round) }
            }
        }
        for extra in extras {
            for peer in roster.peers where ![Peer.smallBuffer, ModelContender.again].contains(peer.name) {
                try attempt("\(extra.rawValue): \(peer.name)") { try measure(extra, peer) }
            }
        }
    }

    /// Each round another server begins, so that no server always has the best moment.
    private func measure(_ load: PeerLoad, _ arrangement: Arrangement, _ round: Int) throws {
        let peers = roster.peers
        for turn in peers.indices {
            let peer = peers[(turn + 5 * (round - 1)) % peers.count]
            if peer.name == Peer.smallBuffer, load != .bulk { continue }
            try attempt("round \(round) of \(plan.rounds), \(arrangement.rawValue), \(load.name): \(peer.name)") {
                try measure(load, arrangement, round, peer)
            }
        }
    }

    private func measure(_ load: PeerLoad, _ arrangement: Arrangement, _ round: Int, _ peer: Peer) throws {
        let harness = arrangement == .shared ? places.shared : places.apart
        let result = try harness.withServer(peer.start(for: load)) {
            try harness.measure($0, seconds: plan.seconds, load.options)
        }
        let report = result.report
        try speed.add(
            peer.name, round: round, group: PeersRun.group(arrangement, load),
            [
                report.rate, result.serverTimePerMessage, result.generatorTimePerMessage, report.p50, report.p99,
                result.serverBusy, result.generatorBusy,
            ])
    }

    /// A server that fails is out of this measurement, and named.
    private func attempt(_ what: String, _ body: () throws -> Void) throws {
        Progress.show(what)
        do { try body() } catch {
            // Throws where the benchmark itself was ended.
            try Greenlet.yield()
            complain("\(what): \(error)")
            failures.append(what)
        }
    }

    // MARK: Measured once

    private func measure(_ extra: PeerExtra, _ peer: Peer) throws {
        let harness = places.shared
        switch extra {
        case .hold:
            let use = try harness.withServer(peer.start(for: nil)) {
                try harness.measureIdle($0, plan.crowd, after: plan.idle)
            }
            try memory.add(peer.name, round: 1, IdleMemory.values(plan.crowd, use))
        case .calls:
            let count = try SystemCallCount(of: peer, harness)
            try calls.add(peer.name, round: 1, note: count.list, [count.all])
        case .instructions:
            let count = try InstructionCount(of: peer, harness, seconds: plan.seconds)
            try instructions.add(peer.name, round: 1, [count.user, count.kernel])
        case .lines:
            let count = try Cachegrind(counter: .lines, connections: 1000).count(of: peer, harness)
            try lines.add(peer.name, round: 1, [count])
        }
    }

    /// An extra whose tool can't be installed is left out, and named.
    private func installTools() {
        if extras.contains(.calls) { install(["strace"], for: .calls) }
        if extras.contains(.instructions), !InstructionCount.processorCounts {
            install(["valgrind", "binutils"], for: .instructions)
        }
        if extras.contains(.lines) { install(["valgrind", "binutils"], for: .lines) }
    }

    private func install(_ packages: [String], for extra: PeerExtra) {
        do { try Tool.run(["Scripts/setup.sh"] + packages) } catch {
            roster.note(missing: "\(extra.rawValue): \(error)")
            extras.removeAll { $0 == extra }
        }
    }
}
