import GreenNet

/// Four clients that come again and again until they are killed.  One of them ends where it is refused, reset or not answered.
///
/// Belongs to the hub that made it.
final class SteadyClients {
    private let count = UnsafeMutablePointer<Int>.allocate(capacity: 1)
    private var clients: [Greenlet<Void>] = []

    init(_ address: SocketAddress) {
        count.initialize(to: 0)
        clients = (0..<4).map { [count] _ in spawn { try SteadyClients.keepAsking(address, count) } }
    }

    deinit { count.deallocate() }

    /// How many answers have come.
    var answers: Int { count.pointee }
    /// None of them has ended.
    var areWell: Bool { !clients.contains { $0.hasEnded } }

    /// Ends all of them.
    func stop() {
        for client in clients { client.kill() }
        for client in clients { _ = try? client.value() }
    }

    private static func keepAsking(_ address: SocketAddress, _ count: UnsafeMutablePointer<Int>) throws {
        while true {
            let connection = try Connection.connect(to: address)
            defer { connection.close() }
            try connection.expect("HELLO", to: "hello")
            try connection.shutdownSending()
            if try !connection.receiveToEnd().isEmpty { throw Unexpected("more than the answer") }
            count.pointee += 1
        }
    }
}
