import Glibc
import GreenNet
import TestSupport
import Testing

/// A server under a mix of clients for some time, while some of its children are killed, if it has any, and it is looked at all the time.
final class Soak {
    private let server: Server
    private let admin: Admin
    private let plan: Plan
    private let start = Deadline.now
    private let tally = SoakTally()
    /// A child from before the first client, which is never killed: a leak in it must not vanish with it.
    private let spared: pid_t?
    private var kills = 0
    private var samples: [SoakSample] = []

    struct Plan {
        let length: Duration
        let seed: UInt64

        /// The environment sets it: SOAK_MINUTES for each model, and SOAK_SEED.  By default a soak takes some seconds.
        static let asked: Plan = {
            let minutes = getenv("SOAK_MINUTES").flatMap { Double(String(cString: $0)) }
            let seed = getenv("SOAK_SEED").flatMap { UInt64(String(cString: $0)) }
            return Plan(length: minutes.map { .seconds($0 * 60) } ?? .patient(4), seed: seed ?? 1)
        }()

        /// The model that SOAK_MODEL names by its options, such as `--model thread`; without the variable, all models.
        static let models: [ServerModel] = {
            guard let wanted = getenv("SOAK_MODEL").map({ String(cString: $0) }), !wanted.isEmpty else {
                return ServerModel.all
            }
            return ServerModel.all.filter { $0.testDescription == wanted }
        }()

        var interval: Duration { max(.milliseconds(100), min(.seconds(5), length / 200)) }
    }

    init(_ server: Server, _ plan: Plan) throws {
        (self.server, self.plan) = (server, plan)
        admin = try Admin(of: server)
        spared = try server.program.status().children.first
    }

    /// Returns when the clients have gone and all is quiet.
    func run() throws -> SoakRecord {
        let before = try sampleWhenQuiet()
        let clients = SoakClient.allCases.flatMap { kind in
            repeatElement(kind, count: kind.count(for: server.model))
        }.enumerated().map { number, kind in come(as: kind, number) }
        let killer = spawn(name: "killer") { try self.killNowAndThen() }
        defer { for greenlet in clients + [killer] { greenlet.kill() } }
        while Deadline.now - start < plan.length {
            try Greenlet.sleep(for: plan.interval)
            samples.append(try sample())
            for client in clients where client.hasEnded { try client.value() }
        }
        tally.isOver = true
        killer.kill()
        for client in clients { try client.value() }
        let after = try sampleWhenQuiet(as: before)
        return SoakRecord(
            model: server.model, seed: plan.seed, before: before, samples: samples, after: after, tally: tally,
            kills: kills)
    }

    private func sample() throws -> SoakSample {
        try SoakSample(server, admin, seconds: Double((.now - start).nanoseconds) / 1e9)
    }

    /// Of several samples of fresh gauges, the one with the fewest green threads: a green thread that answers the request may be counted.  With `before`,
    /// some seconds may go by until there are as few: what looks after idle connections stays a little longer than they do.
    private func sampleWhenQuiet(as before: SoakSample? = nil) throws -> SoakSample {
        let isQuiet = try eventuallyOnHub(within: .seconds(10)) { try sample().open == 0 }
        if !isQuiet { throw Unexpected("connections are open, and no client is there") }
        try server.expectOnly(clients: 0)
        var looks: [SoakSample] = []
        func hasEnough() -> Bool {
            looks.count >= 3 && looks.contains { $0.greenThreads <= before?.greenThreads ?? .max } || looks.count >= 20
        }
        while !hasEnough() {
            try Greenlet.sleep(for: .milliseconds(300))
            looks.append(try sample())
        }
        return looks.min { $0.greenThreads < $1.greenThreads }!
    }

    // MARK: Clients

    private func come(as kind: SoakClient, _ number: Int) -> Greenlet<Void> {
        spawn(name: "\(kind) \(number)") { [self] in
            var random = SeededRandom(seed: plan.seed &* 1000 &+ UInt64(number))
            while !tally.isOver {
                do {
                    try kind.visit(server, &random, tally)
                } catch let error where error is SoakLoss || error is NetError {
                    // A client whose server process was killed has lost its connection; no other error may happen.
                    guard kills > 0 else { throw Unexpected("a \(kind) client: \(error)") }
                    tally.lost += 1
                    try Greenlet.sleep(for: .milliseconds(10))
                }
            }
        }
    }

    // MARK: Kills

    private func killNowAndThen() throws {
        var random = SeededRandom(seed: plan.seed)
        while true {
            try Greenlet.sleep(for: .milliseconds(Int.random(in: 500...2000, using: &random)))
            let children = try server.program.status().children.filter { $0 != spared }
            guard let one = children.randomElement(using: &random) else { continue }
            kills += 1
            kill(one, SIGKILL)
        }
    }
}
