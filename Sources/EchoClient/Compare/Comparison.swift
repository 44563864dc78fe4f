import Glibc
import GreenNet
import ProgramKit

/// The same loads on each contender, in rounds: each has its turn in every round, so that what changes on the machine meanwhile
/// concerns all.
final class Comparison {
    let contenders: [Contender]
    let connections: [Int]
    let load: LoadPlan
    let rounds: Int
    private(set) var cells: [[Cell?]]
    private let start = Deadline.now
    /// The descriptor limit that each server inherits.
    private let descriptors = DescriptorLimit.raise()

    /// Of `load`, the connections and the target are replaced.
    init(_ contenders: [Contender], connections: [Int], load: LoadPlan, rounds: Int) {
        (self.contenders, self.connections, self.load, self.rounds) = (contenders, connections, load, rounds)
        cells = contenders.map { _ in connections.map { _ in nil } }
    }

    func run() throws {
        for round in 0..<rounds {
            for column in connections.indices {
                for row in contenders.indices { try measure(row, column, round) }
            }
        }
        if LoadProgress.isSeen { LoadProgress.clear() }
    }

    func cell(_ row: Int, _ column: Int) -> Cell { cells[row][column] ?? .impossible("not measured") }

    // MARK: One of them

    private func measure(_ row: Int, _ column: Int, _ round: Int) throws {
        let (contender, count) = (contenders[row], connections[column])
        if cells[row][column]?.reason != nil { return }
        show(contender, count, round)
        if let places = contender.places, count > places {
            cells[row][column] = .impossible("serves \(places) at once; further clients wait")
            return
        }
        // Whatever the model: its first process accepts all of them.
        let most = DescriptorLimit.connections(within: descriptors)
        if !contender.isOther, count > most {
            cells[row][column] = .impossible("serves \(most) at once at a descriptor limit of \(descriptors)")
            return
        }
        do {
            let measurement = try measure(contender, count)
            var rounds: [Measurement] = []
            if case .measured(let before) = cells[row][column] { rounds = before }
            cells[row][column] = .measured(rounds + [measurement])
        } catch let failure as CannotServe {
            cells[row][column] = .impossible(failure.reason)
        }
    }

    /// What a contender can't do, rather than what went wrong with the comparison.
    private struct CannotServe: Error { let reason: String }

    private func measure(_ contender: Contender, _ count: Int) throws -> Measurement {
        let server = try RunningContender(contender)
        defer { server.stop() }
        let idleMemory = server.tree.memory
        let fleet = LoadFleet(plan(server.address, count))
        defer { fleet.close() }
        try fleet.start()
        try fleet.open()
        let tree = server.tree
        let (memory, threads, before) = (tree.memory, tree.threads, tree.processorTime)
        fleet.go()
        let result = try fleet.wait()
        let time = server.tree.processorTime - before
        try judge(result, count)
        return Measurement(
            result, serverTime: time, memory: memory, idleMemory: idleMemory, threads: threads,
            processes: tree.processes.count)
    }

    private func plan(_ address: SocketAddress, _ count: Int) -> LoadPlan {
        var plan = load
        (plan.target, plan.connections, plan.own) = (address, count, 0..<count)
        return plan
    }

    private func judge(_ result: LoadResult, _ count: Int) throws {
        if let failure = result.failures.first.first {
            let others = result.failures.total - 1
            throw CannotServe(reason: failure.text + (others > 0 ? ", and \(others.grouped) similar failures" : ""))
        }
        if result.messages == 0 { throw CannotServe(reason: "answered no message in time") }
    }

    private func show(_ contender: Contender, _ count: Int, _ round: Int) {
        guard LoadProgress.isSeen else { return }
        LoadProgress.clear()
        let seconds = (Deadline.now - start).inSeconds.fixed(0)
        StandardStreams.show(
            "round \(round + 1) of \(rounds), \(count.grouped) connections: \(contender.name) (\(seconds) s)")
    }
}

extension Measurement {
    fileprivate init(
        _ result: LoadResult, serverTime: Duration, memory: Int, idleMemory: Int, threads: Int, processes: Int
    ) {
        let messages = Double(result.messages)
        self.init(
            rate: result.messagesPerSecond, p50: result.latencies.percentile(50) / 1e3,
            p99: result.latencies.percentile(99) / 1e3, p999: result.latencies.percentile(99.9) / 1e3,
            serverTime: serverTime.inSeconds / messages * 1e6,
            clientTime: result.processorTime.inSeconds / messages * 1e6,
            memory: Double(memory), idleMemory: Double(idleMemory), threads: Double(threads),
            processes: Double(processes))
    }
}
