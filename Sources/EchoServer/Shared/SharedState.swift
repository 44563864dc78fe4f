import Glibc
import GreenNet
import ProgramKit

/// The counters, limits and gauges that all hubs and processes of the service share.
struct SharedState {
    let counters: Counters
    let admission: SharedAdmission
    /// Nil unless the admin interface or a watchdog reads them.
    let gauges: HubGauges?
    let arrangement: Arrangement
    let descriptorLimit: Int
    /// The largest number of connections at once that the descriptors or the pool allow, and that `max-connections` can be: the tables in shared memory
    /// have their sizes by it.
    private let mostPlaces: Int

    init(
        _ settings: Settings, descriptorLimit: Int, hasAdmin: Bool = false, isWatched: Bool = false,
        rules: (@Sendable () -> AdmissionRules?)? = nil
    ) throws(StartFailure) {
        try SharedState.check(descriptorLimit, settings, hasAdmin: hasAdmin)
        arrangement = settings.arrangement
        self.descriptorLimit = descriptorLimit
        // Each context of a pool serves one connection; otherwise each process serves as many as it has descriptors.
        let free = DescriptorLimit.connections(within: descriptorLimit)
        mostPlaces = min(
            settings.poolSize ?? free * arrangement.servingProcesses,
            NumericOptions.Server.maxConnections.range.upperBound)
        let places = min(settings.maxConnections ?? mostPlaces, mostPlaces)
        let rows = arrangement.rows
        counters = try Counters(rows: rows, forForkServer: settings.hasForkServer)
        let isRead = hasAdmin || arrangement.forksHubs && (isWatched || settings.workerTimeout != nil)
        // In a pool of processes, the one hub is that of the process that supervises them.
        gauges = isRead ? try HubGauges(hubs: max(1, arrangement.acceptingHubs)) : nil
        admission = try SharedAdmission(
            places: places, most: mostPlaces, perPeer: settings.maxConnectionsPerIP,
            policy: settings.clients, rules: rules, rows: rows)
    }

    var rows: Int { arrangement.rows }

    /// Measures the current hub from now on, where gauges are kept.
    func measure(hub: Int) -> Greenlet<Void>? { gauges?.measure(hub: hub) }

    /// Finds too low a limit at the start, before a hub or a listener can't be made.
    private static func check(_ limit: Int, _ settings: Settings, hasAdmin: Bool) throws(StartFailure) {
        let (standard, each, connection) = (3, 2 + settings.model.descriptors, 1)
        // A listener, and the spare descriptor for a connection.
        let admin = hasAdmin ? 2 : 0
        let listeners = settings.arrangement.listeners * settings.streamEntries.count
        let datagrams = settings.datagramEntries.count + (settings.services.servesDatagrams ? 1 : 0)
        let needed = standard + listeners + datagrams + admin + settings.workers * each + connection
        if limit < needed {
            throw StartFailure(
                .system, "descriptor limit too low: \(limit); these workers need at least \(needed)")
        }
    }

    /// The limit of connections at once with these settings.
    func possiblePlaces(_ settings: Settings) -> Int { min(settings.maxConnections ?? mostPlaces, mostPlaces) }
}
