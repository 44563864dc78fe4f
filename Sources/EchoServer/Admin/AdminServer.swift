import GreenNet

/// The admin interface: serves status and metrics over HTTP, on the socket of `--admin` or on sockets that a service manager has passed in.  Served
/// by green threads on the hub of the process that was started.
///
/// A client of it can neither block the service nor keep other clients from their answers.
final class AdminServer {
    private let seats: AdminSeats
    private let server: StreamServer

    /// How many connections the kernel queues until the server accepts them.
    static let backlog = 1024

    init(_ sockets: [ListeningSocket], _ pages: AdminPages) {
        let seats = AdminSeats(pages)
        self.seats = seats
        server = StreamServer(sockets.map { Listener($0, ownsPath: false) }, model: seats, admission: seats)
        server.makeRoom = { [unowned seats] () throws(WaitError) in try seats.makeRoom() }
    }

    func start() {
        seats.begin(server)
        server.start()
    }

    /// Stops listening, and leaves the paths of unix sockets: another instance may have them now.  Never waits.
    func close() { server.stopAccepting() }
}
