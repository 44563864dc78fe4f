import GreenNet

/// A green thread of the admin interface, which serves one connection at a time.
final class AdminSeat {
    private let pages: AdminPages
    /// Nil while the seat is free.
    private(set) var exchange: AdminExchange?
    private let isTaken = GreenEvent()

    init(_ pages: AdminPages) { self.pages = pages }

    /// Starts the green thread, which calls `whenFree` after each connection.
    func begin(whenFree: @escaping (AdminSeat, SocketAddress) -> Void) {
        spawn(.admin) { [self] in
            while true {
                try isTaken.wait()
                isTaken.clear()
                guard let exchange else { continue }
                exchange.run()
                self.exchange = nil
                whenFree(self, exchange.peer)
            }
        }
    }

    /// Gives the seat to `connection`, which is served when the green thread runs next.
    func take(_ connection: Connection) {
        exchange = AdminExchange(connection, pages)
        isTaken.set()
    }
}
