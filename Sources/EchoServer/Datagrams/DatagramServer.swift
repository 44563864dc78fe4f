import GreenNet

/// Serves datagrams on the addresses of the listeners, and at places of their own.
///
/// Belongs to the hub of the process that was started, whatever processes serve the connections.
final class DatagramServer {
    private let parts: ServiceParts
    /// Whether another instance may have the ports until it has ended.
    private var sharesPorts: Bool
    private var services: [DatagramService] = []

    init(_ parts: ServiceParts, sharesPorts: Bool) { (self.parts, self.sharesPorts) = (parts, sharesPorts) }

    /// Lets another instance of the same user bind the ports too, from now on.
    func sharePorts() {
        sharesPorts = true
        for service in services { try? service.socket.setOption(.reusePort(true)) }
    }

    /// Where datagrams are wanted: beside each of `places` that has a port, and at each place of UDP in `settings`.
    private func wanted(_ settings: Settings, _ places: [OpenPlace]) throws(StartFailure) -> [DatagramPlace] {
        var wanted: [DatagramPlace] = []
        if settings.services.servesDatagrams {
            for address in places.sockets(ofSet: 0).map(\.address) where address.port != nil {
                wanted.append(DatagramPlace(entry: ListenEntry(.udp, .host("", port: 0)), address: address))
            }
        }
        for entry in settings.datagramEntries {
            wanted.append(DatagramPlace(entry: entry, address: try entry.endpoint.listenAddress()))
        }
        return wanted
    }

    /// Binds what `settings` want and is not bound yet.  Throws where the kernel refuses one, as where another program has the port, and binds nothing then.
    /// Changes nothing else, until `commit`.
    func change(to settings: Settings, _ places: [OpenPlace]) throws(StartFailure) -> DatagramChange {
        var (rest, kept, added) = (services, [(DatagramService, ListenEntry)](), [DatagramService]())
        do throws(StartFailure) {
            for place in try wanted(settings, places) {
                if let old = rest.firstIndex(where: { $0.serves(place) }) {
                    kept.append((rest.remove(at: old), place.entry))
                } else {
                    added.append(try bind(place, settings))
                }
            }
        } catch {
            for service in added { service.socket.close() }
            throw error
        }
        return DatagramChange(server: self, kept: kept, added: added, removed: rest)
    }

    private func bind(_ place: DatagramPlace, _ common: Settings) throws(StartFailure) -> DatagramService {
        let settings = place.entry.settings(common)
        let options = settings.socket.datagramOptions + (sharesPorts ? [.reusePort(true)] : [])
        do throws(NetError) {
            return DatagramService(
                try Datagram(bind: place.address, options: options), place, parts.live,
                CounterRow(counters: parts.shared.counters, row: 0))
        } catch {
            throw StartFailure(error)
        }
    }

    /// Each new service gets a green thread of its own.  Never waits.
    fileprivate func commit(_ change: DatagramChange) {
        for (service, entry) in change.kept { service.entry = entry }
        for service in change.removed { service.socket.close() }
        for service in change.added {
            parts.log.servesDatagrams(at: service.socket.address)
            spawn(.datagrams) { try service.run() }
        }
        services = change.kept.map(\.0) + change.added
        let ports = Set(services.compactMap(\.socket.address.port))
        for service in services { service.ownPorts = ports }
    }

    /// Ends them.
    func close() { for service in services { service.socket.close() } }
}

/// Where datagrams are wanted, with the settings of `entry`.
struct DatagramPlace {
    let entry: ListenEntry
    /// As it is bound: with port 0, at any.
    let address: SocketAddress
}

/// What a reload changes about the sockets of datagrams.
struct DatagramChange {
    fileprivate let server: DatagramServer
    fileprivate let kept: [(DatagramService, ListenEntry)]
    fileprivate let added: [DatagramService]
    fileprivate let removed: [DatagramService]

    func commit() { server.commit(self) }

    /// It will not come about.
    func abandon() { for service in added { service.socket.close() } }
}
