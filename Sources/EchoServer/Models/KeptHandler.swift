import GreenNet

/// Serves the connections of one hub.  The handler of those that have nothing else is made once, and anew after a reload: connections that begin later get
/// the new one.
final class KeptHandler {
    private let service: ConnectionService
    // Unchecked, here and below: each connection reads them, and no access lasts across a wait.
    @exclusivity(unchecked)
    private var plain: EchoHandler?
    /// That of the settings which `plain` was made of.
    @exclusivity(unchecked)
    private var number: UInt64

    init(_ service: ConnectionService) {
        self.service = service
        number = service.live.number
        plain = service.plainHandler
    }

    func serve(_ connection: Connection) throws {
        if service.live.number != number { renew() }
        try service.serve(connection, by: plain)
    }

    @inline(never)
    private func renew() {
        number = service.live.number
        plain = service.plainHandler
    }
}
