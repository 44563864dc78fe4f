import GreenNet

/// The sockets that the server accepts on: those that a service manager has passed in, or else its own.
struct Listeners {
    /// As the server was started.
    let settings: Settings
    let passed: Activation.Sockets
    private let log: ServerLog
    /// Told which socket serves in which way; nil where all serve alike.
    private let profiles: ListenerProfiles?
    /// What another instance has given away.
    var taken: [ListeningSocket] = []
    var takenAdmin: [ListeningSocket] = []

    init(
        _ settings: Settings, _ passed: Activation.Sockets, _ log: ServerLog, profiles: ListenerProfiles? = nil
    ) {
        (self.settings, self.passed, self.log, self.profiles) = (settings, passed, log, profiles)
    }

    // MARK: The service

    /// A set of sockets for each hub that accepts, or one for all processes of a pool.
    func openService() throws(StartFailure) -> [[ListeningSocket]] {
        let sets = settings.arrangement.listeners
        for socket in passed.unusual { log.servesUnusual(socket.name, at: socket.address) }
        guard passed.service.isEmpty else {
            if settings.namesAddress { log.addressIgnored() }
            return try netFailuresAsStartFailures { () throws(NetError) in try share(passed.service, among: sets) }
        }
        return try openOwn(sets)
    }

    /// Those that another instance has given away at this address, taken out of `taken`; with port 0, at any port.
    private func take(_ address: SocketAddress, from taken: inout [ListeningSocket]) -> [ListeningSocket] {
        func fits(_ socket: ListeningSocket) -> Bool {
            address == socket.address || address.port == 0 && address == socket.address.with(port: 0)
        }
        let found = taken.filter(fits)
        taken.removeAll(where: fits)
        return found
    }

    /// Opens all, or none: where one can't be had, those before it are closed.
    private func openOwn(_ sets: Int) throws(StartFailure) -> [[ListeningSocket]] {
        var all = [[ListeningSocket]](repeating: [], count: sets)
        var places: [(ListenEntry, SocketAddress)] = []
        // What is left in the end is closed.
        var taken = taken
        defer { for socket in taken { socket.close() } }
        do throws(StartFailure) {
            for entry in settings.streamEntries {
                let opened = try open(entry, sets, &taken)
                places.append((entry, opened[0][0].address))
                for index in all.indices { all[index] += opened[index] }
            }
        } catch {
            for socket in all[0] { socket.removePath() }
            for socket in all.joined() { socket.close() }
            throw error
        }
        profiles?.set(places)
        return all
    }

    /// For each set its sockets: one, or all that another instance has given away where it had another number of sets.
    private func open(
        _ entry: ListenEntry, _ sets: Int, _ taken: inout [ListeningSocket]
    ) throws(StartFailure) -> [[ListeningSocket]] {
        let address = try entry.endpoint.listenAddress()
        let found = take(address, from: &taken)
        if found.isEmpty { return try open(entry, address, sets).map { [$0] } }
        if found.count == sets { return found.map { [$0] } }
        return try netFailuresAsStartFailures { () throws(NetError) in try share(found, among: sets) }
    }

    /// A socket for each set.
    private func open(
        _ entry: ListenEntry, _ address: SocketAddress, _ sets: Int
    ) throws(StartFailure) -> [ListeningSocket] {
        let settings = entry.settings(settings)
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
    private func share(_ sockets: [ListeningSocket], among sets: Int) throws(NetError) -> [[ListeningSocket]] {
        var all = [sockets]
        for _ in 1..<sets { all.append(try sockets.map { socket throws(NetError) in try socket.duplicate() }) }
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
            for socket in takenAdmin { socket.close() }
            return []
        }
        if !takenAdmin.isEmpty { return takenAdmin }
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

    private func openAdmin(on wanted: Endpoint) throws(StartFailure) -> ListeningSocket {
        let address = try wanted.listenAddress()
        let permissions = try settings.adminAccess.permissions("admin")
        return try netFailuresAsStartFailures { () throws(NetError) in
            try ListeningSocket(
                on: address, backlog: AdminServer.backlog, freebind: settings.freebind, permissions: permissions)
        }
    }
}

private func netFailuresAsStartFailures<Value>(_ body: () throws(NetError) -> Value) throws(StartFailure) -> Value {
    do throws(NetError) { return try body() } catch { throw StartFailure(error) }
}
