import GreenNet

/// `--admin`, or sockets that a service manager has passed in for it: tells over HTTP how the service stands.  Served by green threads on the
/// hub of the process that was started.
///
/// Nothing that a client does there can hold the service up, or keep other clients from an answer.
final class AdminServer {
    private let seats: AdminSeats
    private let server: StreamServer

    /// How many connections the kernel queues until they are accepted, which takes a moment only.
    static let backlog = 1024

    init(_ sockets: [ListeningSocket], _ pages: AdminPages) {
        let seats = AdminSeats(pages)
        self.seats = seats
        server = StreamServer(sockets.map { Listener($0) }, model: seats, admission: seats)
        server.makeRoom = { [unowned seats] () throws(WaitError) in try seats.makeRoom() }
    }

    func start() {
        seats.begin(server)
        server.start()
    }

    /// Stops listening.  Never waits.
    func close() { server.stopAccepting() }
}
