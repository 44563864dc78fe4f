import ArgumentParser
import Glibc
import GreenNet
import ProgramKit

/// `echo-client load-worker`: one process of a load.  It opens its connections, writes `connected`, and waits for `go`.
///
/// It reads lines: `go`, `stop` (send nothing new) and `end`, for which the end of its input counts too.  It writes lines:
/// `at OPENED MESSAGES BYTES FAILURES` ten times a second, `connected`, the lines of its result, and `done`.  Its connections stay open until the end.
struct LoadWorker: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load-worker", abstract: "One process of a load; started by load.", shouldDisplay: false)

    @Argument var words: [String]

    func run() throws {
        guard let plan = LoadPlan(words: words) else { throw ValidationError("This is no plan.") }
        DescriptorLimit.raise()
        try LoadWorkerProcess(plan).run()
    }
}

/// What runs on the process's main OS thread: of the load, nothing, where it has OS threads of its own.
private final class LoadWorkerProcess {
    private let plan: LoadPlan
    private let tallies: [Tally]
    private var hubs: [LoadShare] = []
    private var processorTime = Duration.zero
    private let goes = GreenEvent()

    init(_ plan: LoadPlan) {
        self.plan = plan
        tallies = (0..<plan.threads).map { _ in Tally() }
    }

    func run() throws {
        hubs = try tallies.enumerated().map { number, tally in
            let share = LoadShare(plan.share(number, of: plan.threads), tally)
            // A process of one OS thread has cheaper system calls: its table of descriptors is not shared.
            if plan.threads == 1 { try share.begin() } else { try share.beginOnItsOwn() }
            return share
        }
        spawn(name: "orders") { [self] in try obey() }
        spawn(name: "progress") { [self] in try tellProgress() }
        for hub in hubs { try hub.isConnected.wait() }
        try say("connected")
        try goes.wait()
        processorTime = ProcessorTime.own
        for hub in hubs { hub.go() }
        for hub in hubs { try hub.isDone.wait() }
        try tellResult()
        // The connections are open until then.
        try Hub.current.run()
    }

    private func obey() throws {
        let orders = LineReader(STDIN_FILENO)
        while let order = try orders.next(), order != "end" {
            if order == "stop" { for tally in tallies { stop(tally) } }
            if order == "go" { goes.set() }
        }
        // The kernel closes everything, at once.
        _exit(0)
    }

    private func stop(_ tally: Tally) {
        tally.stop(at: .now)
        tally.end(at: .after(LoadPlan.shortPatience))
    }

    private func tellProgress() throws {
        while true {
            try Greenlet.sleep(for: .milliseconds(100))
            let totals = Tally.Counter.allCases.map { counter in
                tallies.reduce(0) { $0 + $1.value(of: counter) }
            }
            try say("at " + totals.map { "\($0)" }.joined(separator: " "))
        }
    }

    private func tellResult() throws {
        var result = LoadResult()
        for hub in hubs { result.add(hub.result!) }
        result.processorTime = ProcessorTime.own - processorTime
        for line in result.lines { try say(line) }
        try say("done")
    }

    private func say(_ line: String) throws { try StandardStreams.write(line + "\n") }
}

/// A hub that loads its share, perhaps on an OS thread of its own.  Belongs to the main hub, on which its events are set.
private final class LoadShare {
    let isConnected = GreenEvent()
    let isDone = GreenEvent()
    private(set) var result: LoadResult?
    private var order: Order?
    private let plan: LoadPlan
    private let tally: Tally

    /// What belongs to the hub that loads.
    private struct Order: @unchecked Sendable {
        // Unchecked: the event is touched on its own hub only.
        let hub: RemoteHub
        let goes: GreenEvent
    }

    private struct Owner: @unchecked Sendable {
        // Unchecked: the handle is touched on its maker's hub only.
        let hub: RemoteHub
        let handle: LoadShare

        func tell(_ news: @escaping @Sendable (LoadShare) -> Void) { _ = hub.callInHub { news(handle) } }
    }

    init(_ plan: LoadPlan, _ tally: Tally) { (self.plan, self.tally) = (plan, tally) }

    func begin() throws {
        if case .failure(let error)? = spawn(name: "load", work).result { throw error }
    }

    func beginOnItsOwn() throws { try OSThread.start(named: "load", blocksSignals: true, work) }

    private var work: @Sendable () -> Void {
        let owner = Owner(hub: Hub.current.remote, handle: self)
        let (plan, tally) = (plan, tally)
        return {
            do {
                try LoadShare.load(plan, tally, for: owner)
            } catch {
                StandardStreams.complain("echo-client: \(error)")
                _exit(1)
            }
        }
    }

    private static func load(_ plan: LoadPlan, _ tally: Tally, for owner: Owner) throws {
        let goes = GreenEvent()
        let order = Order(hub: Hub.current.remote, goes: goes)
        let load = try LoadHub(plan, tally)
        let work = spawn(name: "measurement") {
            try load.openAll()
            owner.tell { share in share.begin(order) }
            try goes.wait()
            try load.measure()
        }
        try load.wait(for: work)
        let result = load.result
        owner.tell { share in
            // It may have been ended while it was still opening.
            share.begin(order)
            share.result = result
            share.isDone.set()
        }
        // The connections stay open until the process ends.
        goes.clear()
        try withExtendedLifetime(load) { _ = try goes.wait() }
    }

    private func begin(_ order: Order) {
        self.order = order
        isConnected.set()
    }

    func go() {
        let order = order!
        _ = order.hub.callInHub { order.goes.set() }
    }
}
