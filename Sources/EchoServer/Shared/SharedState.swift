import Glibc
import GreenNet
import ProgramKit

/// What all hubs and processes of the service share.
struct SharedState {
    let counters: Counters
    let admission: SharedAdmission
    /// Nil unless somebody may ask for them.
    let gauges: HubGauges?
    let rows: Int
    let descriptorLimit: Int
    /// What the descriptors allow, or the pool; and no more than can be set, for what is shared has its size by it.
    private let mostPlaces: Int

    /// Descriptors that are not connections: standard ones, loops, listeners, the log.
    private static let reserve = 64

    init(
        _ settings: Settings, descriptorLimit: Int, hasAdmin: Bool = false, isWatched: Bool = false
    ) throws(StartFailure) {
        try SharedState.check(descriptorLimit, settings, hasAdmin: hasAdmin)
        let processes = settings.processes ?? 1
        rows = settings.model == .process ? settings.poolSize ?? 1 : settings.workers * processes
        self.descriptorLimit = descriptorLimit
        // A process of the pool has one connection; else each process has as many as it has descriptors.
        let free = max(descriptorLimit - SharedState.reserve, descriptorLimit * 3 / 4)
        mostPlaces = min(
            settings.poolSize ?? max(1, free) * processes, NumericOptions.Server.maxConnections.range.upperBound)
        let places = min(settings.maxConnections ?? mostPlaces, mostPlaces)
        counters = try Counters(rows: rows)
        let isAsked = hasAdmin || settings.processes != nil && (isWatched || settings.workerTimeout != nil)
        gauges = isAsked ? try HubGauges(hubs: settings.model == .green ? rows : 1) : nil
        admission = try SharedAdmission(
            places: places, most: mostPlaces, perPeer: settings.maxConnectionsPerIP, rows: rows)
    }

    /// Measures the current hub from now on, if anybody may ask.
    func measure(hub: Int) -> Greenlet<Void>? { gauges?.measure(hub: hub) }

    /// Rather now than when a hub or a listener can't be made.
    private static func check(_ limit: Int, _ settings: Settings, hasAdmin: Bool) throws(StartFailure) {
        let (standard, each, connection) = (3, 2, 1)
        // A listener, and the descriptor that is kept for a connection.
        let admin = hasAdmin ? 2 : 0
        let listeners = settings.workers * (settings.processes ?? 1)
        let needed = standard + listeners + admin + settings.workers * each + connection
        if limit < needed {
            throw StartFailure(
                .system, "the descriptor limit is \(limit), and \(needed) is the least for these workers")
        }
    }

    /// How many connections there may be at once.
    func possiblePlaces(_ settings: Settings) -> Int { min(settings.maxConnections ?? mostPlaces, mostPlaces) }
}
