import GreenNet

/// The sockets that the server accepts on: those that a service manager has passed in, or else its own.
///
/// Belongs to the process that was started.
final class Listeners {
    /// As the server was started.
    let settings: Settings
    /// The instance that has started this one may give them too.
    var passed: Activation.Sockets
    private let log: ServerLog
    /// What another instance has given away.
    var taken: [ListeningSocket] = []
    var takenAdmin: [ListeningSocket] = []
    /// Those of another instance that are not wanted: it accepts there until this one serves, and then the path of a unix socket is removed.
    private var leftover: [ListeningSocket] = []
    /// Where the service listens now.
    private(set) var places: [OpenPlace] = []
    private var lastID = 0

    init(_ settings: Settings, _ passed: Activation.Sockets, _ log: ServerLog) {
        (self.settings, self.passed, self.log) = (settings, passed, log)
    }

    // MARK: The service

    /// A set of sockets for each hub that accepts, or one for all processes of a pool.
    var sets: [[ListeningSocket]] { (0..<setCount).map { places.sockets(ofSet: $0) } }
    /// All sockets that have a queue of their own: copies of one that was passed in share it.
    var queues: [ListeningSocket] { arePassed ? places.sockets(ofSet: 0) : Array(sets.joined()) }
    var arePassed: Bool { !passed.service.isEmpty }
    private var setCount: Int { settings.arrangement.listeners }

    /// Opens the sockets of the service, all or none.  Returns the sets.
    @discardableResult
    func openService() throws(StartFailure) -> [[ListeningSocket]] {
        for socket in passed.unusual { log.servesUnusual(socket.name, at: socket.address) }
        guard arePassed else {
            places = try open(settings.streamEntries, settings)
            leftover += taken
            taken = []
            return sets
        }
        if settings.namesAddress { log.addressIgnored() }
        let sets = try netFailuresAsStartFailures { () throws(NetError) in try share(passed.service) }
        places = [OpenPlace(id: nextID(), entry: nil, sockets: sets)]
        return sets
    }

    /// Takes what the service manager has kept of an earlier start, as from another instance, and closes what is not wanted.  Returns the names of those that
    /// the manager is to forget.
    func takeKept() throws(StartFailure) -> [String] {
        var wanted: [SocketAddress] = []
        if !arePassed { for entry in settings.streamEntries { wanted.append(try entry.endpoint.listenAddress()) } }
        var unwanted: [String] = []
        for (name, socket) in passed.kept {
            let fits = socket.map { socket in wanted.contains { socket.fits($0) } } ?? false
            if fits { taken.append(socket!) } else { socket?.close() }
            if !fits || name != KeptListener.name(of: socket!.address) { unwanted.append(name) }
        }
        return unwanted
    }

    /// Whether a program listens at one of the addresses of the settings.
    var areInUse: Bool {
        settings.streamEntries.contains { entry in
            guard let address = try? entry.endpoint.listenAddress(), address.port != 0 else { return false }
            return (try? ListeningProbe(address, freebind: settings.freebind)) == .inUse
        }
    }

    private func nextID() -> Int {
        lastID += 1
        return lastID
    }

    /// Opens what `settings` want and is not open yet; with places that can't be had, it throws and opens nothing.  Those that are open already are kept: they get the
    /// socket options that the settings have for them.  Changes nothing else, until `commit`.
    func change(to settings: Settings) throws(StartFailure) -> ListenerChange? {
        if arePassed { return nil }
        var (rest, kept, missing) = (places, [Int: OpenPlace](), [(Int, ListenEntry)]())
        for (index, entry) in settings.streamEntries.enumerated() {
            if let old = rest.firstIndex(where: { $0.serves(entry) }) {
                kept[index] = rest.remove(at: old)
                kept[index]!.entry = entry
            } else {
                missing.append((index, entry))
            }
        }
        let added = try open(missing.map(\.1), settings)
        let all = merge(kept, Dictionary(uniqueKeysWithValues: zip(missing.map(\.0), added)))
        var change = ListenerChange(
            places: all, added: added, removed: rest, profiles: all.profiles(settings, retired: rest))
        do throws(StartFailure) {
            for place in kept.values { change.adjustments.append(try adjustment(of: place, settings)) }
        } catch {
            change.abandon()
            throw error
        }
        return change
    }

    private func merge(_ kept: [Int: OpenPlace], _ added: [Int: OpenPlace]) -> [OpenPlace] {
        kept.merging(added) { $1 }.sorted { $0.key < $1.key }.map(\.value)
    }

    /// From now on the service listens as `change` says.  The caller closes what is removed, when those that accept there have been told.
    func commit(_ change: ListenerChange) {
        places = change.places
        for place in change.removed { place.removePath() }
        for adjust in change.adjustments {
            do throws(NetError) { try adjust() } catch { log.notAdjusted(error) }
        }
    }

    /// The other instance accepts no more at what it has given.
    func confirmTaken() {
        for index in places.indices { places[index].isTaken = false }
        for socket in leftover {
            socket.removePath()
            socket.close()
        }
        leftover = []
    }

    /// Of unix sockets, when the service ends.
    func removePaths() { for place in places { place.removePath() } }

    private func adjust(_ place: OpenPlace, _ common: Settings) throws(StartFailure) {
        try netFailuresAsStartFailures(try adjustment(of: place, common))
    }

    /// Gives sockets that are open already what `common` has for them.  Throws now where the settings are wrong, and changes nothing before it is called.
    private func adjustment(
        of place: OpenPlace, _ common: Settings
    ) throws(StartFailure) -> () throws(NetError) -> Void {
        let settings = place.entry!.settings(common)
        let permissions = try settings.unixSocketAccess.permissions("unix-socket")
        return { () throws(NetError) in
            for socket in place.sockets.joined() {
                try socket.adjust(
                    settings.socket.options(for: socket.address), backlog: settings.backlog, permissions: permissions)
            }
        }
    }

    // MARK: Opening

    /// Those that another instance has given away at this address, taken out of `taken`; with port 0, at any port.
    private func take(_ address: SocketAddress) -> [ListeningSocket] {
        let found = taken.filter { $0.fits(address) }
        taken.removeAll { $0.fits(address) }
        return found
    }

    /// Opens all, or none: where one can't be had, those before it are closed.
    private func open(_ entries: [ListenEntry], _ settings: Settings) throws(StartFailure) -> [OpenPlace] {
        var opened: [OpenPlace] = []
        do throws(StartFailure) {
            for entry in entries { opened.append(try open(entry, settings)) }
        } catch {
            for place in opened { place.abandon() }
            throw error
        }
        return opened
    }

    /// For each set its sockets: one, or all that another instance has given away where it had another number of sets.
    private func open(_ entry: ListenEntry, _ settings: Settings) throws(StartFailure) -> OpenPlace {
        let address = try entry.endpoint.listenAddress()
        let found = take(address)
        if found.isEmpty {
            let sockets = try open(entry, settings, address)
            return OpenPlace(id: nextID(), entry: entry, sockets: sockets.map { [$0] })
        }
        let sets =
            found.count == setCount
            ? found.map { [$0] } : try netFailuresAsStartFailures { () throws(NetError) in try share(found) }
        let place = OpenPlace(id: nextID(), entry: entry, sockets: sets, isTaken: true)
        do throws(StartFailure) { try adjust(place, settings) } catch {
            place.close()
            throw error
        }
        return place
    }

    /// A socket for each set.
    private func open(
        _ entry: ListenEntry, _ common: Settings, _ address: SocketAddress
    ) throws(StartFailure) -> [ListeningSocket] {
        let (settings, sets) = (entry.settings(common), setCount)
        let permissions = try settings.unixSocketAccess.permissions("unix-socket")
        return try netFailuresAsStartFailures { () throws(NetError) in
            try Listeners.open(address, settings, permissions, sets)
        }
    }

    /// The sockets of one port share it, and the kernel spreads the connections over them.
    private static func open(
        _ address: SocketAddress, _ settings: Settings, _ permissions: UnixPermissions, _ sets: Int
    ) throws(NetError) -> [ListeningSocket] {
        let (backlog, freebind, options) = (
            settings.backlog, settings.freebind, settings.socket.options(for: address)
        )
        let first = try ListeningSocket(
            on: address, backlog: backlog, freebind: freebind, options: options, permissions: permissions)
        if sets == 1 { return [first] }
        if case .unix = address {
            return [first] + (try (1..<sets).map { _ throws(NetError) in try first.duplicate() })
        }
        // A socket that shares its port would not find out that another program has the port.
        first.close()
        return try (0..<sets).map { _ throws(NetError) in
            try ListeningSocket(
                on: first.address, backlog: backlog, sharesPort: true, freebind: freebind, options: options)
        }
    }

    /// All sets lead to one queue: the first hub to accept takes the connection.
    private func share(_ sockets: [ListeningSocket]) throws(NetError) -> [[ListeningSocket]] {
        var all = [sockets]
        for _ in 1..<setCount { all.append(try sockets.map { socket throws(NetError) in try socket.duplicate() }) }
        return all
    }

    // MARK: The admin interface

    /// How many sockets `openAdmin` returns, at most.
    var adminCount: Int { max(passed.admin.count, settings.admin == nil ? 0 : 1) }

    /// The sockets that were passed in, or else that of `--admin`; none where neither is there.
    func openAdmin() throws(StartFailure) -> [ListeningSocket] {
        if !passed.admin.isEmpty {
            if let wanted = settings.admin { log.adminIgnored(wanted) }
            return passed.admin
        }
        guard let wanted = settings.admin else {
            leftover += takenAdmin
            return []
        }
        if let taken = try takeAdmin(wanted) { return taken }
        do throws(StartFailure) {
            return [try openAdmin(on: wanted)]
        } catch {
            // A service without a network of its own can never reach an address.  If this process ended, the manager would start the service
            // again for the clients that wait at its sockets, and these clients would wait for ever.
            if passed.service.isEmpty { throw error }
            log.withoutAdmin(wanted, error)
            return []
        }
    }

    /// What another instance has given away where the address is the one that is wanted; closed where it is not.
    private func takeAdmin(_ wanted: Endpoint) throws(StartFailure) -> [ListeningSocket]? {
        if takenAdmin.isEmpty { return nil }
        let address = try wanted.listenAddress()
        let (fitting, others) = (
            takenAdmin.filter { $0.fits(address) }, takenAdmin.filter { !$0.fits(address) }
        )
        leftover += others
        return fitting.isEmpty ? nil : fitting
    }

    private func openAdmin(on wanted: Endpoint) throws(StartFailure) -> ListeningSocket {
        let address = try wanted.listenAddress()
        let permissions = try settings.adminAccess.permissions("admin")
        return try netFailuresAsStartFailures { () throws(NetError) in
            try ListeningSocket(
                on: address, backlog: AdminServer.backlog, freebind: settings.freebind, permissions: permissions)
        }
    }
}

extension ListeningSocket {
    /// Whether it is what a start would open at `wanted`, which may have any port.
    fileprivate func fits(_ wanted: SocketAddress) -> Bool {
        wanted == address || wanted.port == 0 && wanted == address.with(port: 0)
    }
}

private func netFailuresAsStartFailures<Value>(_ body: () throws(NetError) -> Value) throws(StartFailure) -> Value {
    do throws(NetError) { return try body() } catch { throw StartFailure(error) }
}
