import GreenNet

/// Serves datagrams on the addresses of the listeners, and at places of their own.
final class DatagramServer {
    private let services: [DatagramService]

    /// Binds a socket beside each of `listeners` that has a port, and for each place of UDP in the settings.  Throws where the kernel refuses one: another
    /// program has the port, say.
    init(beside listeners: [ListeningSocket], _ parts: ServiceParts) throws(StartFailure) {
        var services: [DatagramService] = []
        for address in listeners.map(\.address) where address.port != nil {
            services.append(try DatagramServer.service(ListenEntry(.udp, .host("", port: 0)), address, parts))
        }
        for entry in parts.live.now.datagramEntries {
            services.append(try DatagramServer.service(entry, entry.endpoint.listenAddress(), parts))
        }
        self.services = services
    }

    private static func service(
        _ entry: ListenEntry, _ address: SocketAddress, _ parts: ServiceParts
    ) throws(StartFailure) -> DatagramService {
        let settings = entry.settings(parts.live.now)
        // Another instance may have the port until it has ended.
        let options = settings.socket.datagramOptions + (settings.takeOver == nil ? [] : [.reusePort(true)])
        do throws(NetError) {
            return DatagramService(
                try Datagram(bind: address, options: options), entry, parts.live,
                CounterRow(counters: parts.shared.counters, row: 0))
        } catch {
            throw StartFailure(error)
        }
    }

    var addresses: [SocketAddress] { services.map(\.socket.address) }

    /// Each on a green thread of its own.  Never waits.
    func start() { for service in services { spawn(.datagrams) { try service.run() } } }

    /// Ends them.
    func close() { for service in services { service.socket.close() } }
}
