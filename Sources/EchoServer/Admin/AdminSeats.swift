import GreenNet

/// The green threads that serve the admin interface, one connection at a time each.  They are made at the start: once many clients have come,
/// there may be no memory for another green thread, and a probe without an answer gets the service killed.
///
/// When all seats are taken, one more client is accepted as the newcomer, and a connection gives way for it: the oldest that has not sent its
/// request, or else the oldest that has its answer.
final class AdminSeats {
    private let seats: [AdminSeat]
    /// The client for which an older connection gives way.
    private var newcomer: Connection?
    /// Places that are neither taken nor reserved for a client that is about to be accepted.
    private var free = AdminSeats.count + 1
    private let spare = SpareDescriptor()

    static let count = 16

    init(_ pages: AdminPages) { seats = (0..<AdminSeats.count).map { _ in AdminSeat(pages) } }

    /// To be called before `server` accepts.
    func begin(_ server: StreamServer) {
        for seat in seats {
            seat.begin { [unowned self, unowned server] seat, peer in
                if let next = newcomer {
                    newcomer = nil
                    seat.take(next)
                }
                server.connectionEnded(peer, .done)
            }
        }
    }

    /// Asks a connection to give way, unless another was asked and has not left yet.  Returns whether it asked.
    @discardableResult
    private func askOneToLeave() -> Bool {
        let exchanges = seats.compactMap(\.exchange)
        guard !exchanges.contains(where: \.isLeaving) else { return false }
        let candidates = exchanges.compactMap { exchange in exchange.order.map { ($0, exchange.start, exchange) } }
        guard let first = candidates.min(by: { ($0.0, $0.1) < ($1.0, $1.1) }) else { return false }
        first.2.giveWay()
        return true
    }

    /// Frees a descriptor for the next client: the spare one, or that of another client.  Returns whether it did.
    func makeRoom() throws(WaitError) -> Bool {
        if spare.give() { return true }
        guard askOneToLeave() else { return false }
        try Greenlet.yield()
        return spare.give()
    }
}

extension AdminSeats: Admission {
    func reserve() -> Bool {
        if free == 0 {
            if newcomer != nil { askOneToLeave() }
            return false
        }
        free -= 1
        return true
    }

    func release() {
        free += 1
        // At once: others would take the descriptor.
        spare.keep()
    }

    func admit(_ peer: SocketAddress) -> Bool { true }
    func leave(_ peer: SocketAddress) {}
    /// A client may have become too slow meanwhile.
    var lookInterval: Duration? { .milliseconds(50) }
}

extension AdminSeats: ConnectionModel {
    var socketsBlock: Bool { false }
    // Never used: the green threads exist already.
    var contextCall: NetError.Call { .mmap }

    func start(_ socket: consuming PendingConnection, for server: StreamServer) throws {
        let peer = socket.peer
        let connection = Connection(descriptor: socket.releaseDescriptor(), peer: peer)
        server.connectionStarted()
        if let seat = seats.first(where: { $0.exchange == nil }) { return seat.take(connection) }
        newcomer = connection
        askOneToLeave()
    }

    func finishReceiving() { for seat in seats { seat.exchange?.giveWay() } }
    func cancel() { finishReceiving() }
}
