import GreenNet

/// The sockets that the server accepts on: those that a service manager has passed in, or else its own.
struct Listeners {
    /// As the server was started.
    let settings: Settings
    let passed: Activation.Sockets
    private let log: ServerLog

    init(_ settings: Settings, _ passed: Activation.Sockets, _ log: ServerLog) {
        (self.settings, self.passed, self.log) = (settings, passed, log)
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
        let address = try settings.endpoint.listenAddress()
        let permissions = try settings.unixSocketAccess.permissions("unix-socket")
        return try netFailuresAsStartFailures { () throws(NetError) in try open(address, permissions, sets) }
    }

    /// The sockets of one port share it, and the kernel spreads the connections over them.
    private func open(
        _ address: SocketAddress, _ permissions: UnixPermissions, _ sets: Int
    ) throws(NetError) -> [[ListeningSocket]] {
        let (backlog, freebind) = (settings.backlog, settings.freebind)
        let first = try ListeningSocket(on: address, backlog: backlog, freebind: freebind, permissions: permissions)
        if sets == 1 || settings.unixSocket != nil { return try share([first], among: sets) }
        // A socket that shares its port would not find out that another program has the port.
        first.close()
        return try (0..<sets).map { _ throws(NetError) in
            [try ListeningSocket(on: first.address, backlog: backlog, sharesPort: true, freebind: freebind)]
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
        guard let wanted = settings.admin else { return [] }
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
