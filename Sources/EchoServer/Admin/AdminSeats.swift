import GreenNet

/// The green threads that serve the admin interface, a connection at a time each.  They are there from the start: once many clients have
/// come, there may be no memory for another one, and a probe that is not answered has the service killed.
///
/// When all of them are busy, one more client is accepted and stands, but waits for no other: the oldest connection that has not sent its
/// request gives way, or else the oldest that has its answer.
final class AdminSeats {
    private let seats: [AdminSeat]
    /// The newcomer for which an older connection gives way.
    private var standing: Connection?
    /// Places that are neither taken nor promised to a client who is about to be accepted.
    private var free = AdminSeats.count + 1
    private let spare = SpareDescriptor()

    static let count = 16

    init(_ pages: AdminPages) { seats = (0..<AdminSeats.count).map { _ in AdminSeat(pages) } }

    /// To be called before `server` accepts.
    func begin(_ server: StreamServer) {
        for seat in seats {
            seat.begin { [unowned self, unowned server] seat, peer in
                if let next = standing {
                    standing = nil
                    seat.take(next)
                }
                server.connectionEnded(peer, .done)
            }
        }
    }

    /// One after the other: no connection is asked before the last one has left.  Returns whether one was.
    @discardableResult
    private func askOneToLeave() -> Bool {
        let exchanges = seats.compactMap(\.exchange)
        guard !exchanges.contains(where: \.isLeaving) else { return false }
        let candidates = exchanges.compactMap { exchange in exchange.order.map { ($0, exchange.start, exchange) } }
        guard let first = candidates.min(by: { ($0.0, $0.1) < ($1.0, $1.1) }) else { return false }
        first.2.giveWay()
        return true
    }

    /// Sees to it that there is a descriptor for the next client: the spare one, or one that another client has.  Returns whether there is.
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
            if standing != nil { askOneToLeave() }
            return false
        }
        free -= 1
        return true
    }

    func release() {
        free += 1
        // As soon as a connection is closed, or no client was there for it after all: others want the descriptor too.
        spare.keep()
    }

    func admit(_ peer: SocketAddress) -> Bool { true }
    func leave(_ peer: SocketAddress) {}
    /// A client may have become too slow meanwhile.
    var lookInterval: Duration? { .milliseconds(50) }
}

extension AdminSeats: ConnectionModel {
    var socketsBlock: Bool { false }
    // Never asked: the green threads are there.
    var contextCall: NetError.Call { .mmap }

    func start(_ socket: consuming Accepted, for server: StreamServer) throws {
        let peer = socket.peer
        let connection = Connection(descriptor: socket.releaseDescriptor(), peer: peer)
        server.connectionStarted()
        if let seat = seats.first(where: { $0.exchange == nil }) { return seat.take(connection) }
        standing = connection
        askOneToLeave()
    }

    func finishReceiving() { for seat in seats { seat.exchange?.giveWay() } }
    func cancel() { finishReceiving() }
}
