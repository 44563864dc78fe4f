import GreenNet

/// A service that calls `serve` with each client, for what echo-server would never do.  It runs on the hub that makes it.
final class FakeService {
    private let listener: Listener
    private let acceptor: Greenlet<Void>

    init(_ serve: @escaping (Connection) throws -> Void) throws {
        let listener = try Listener(on: SocketAddress(ip: "127.0.0.1", port: 0)!)
        self.listener = listener
        acceptor = spawn(name: "fake service") {
            while true {
                let connection = try listener.accept()
                // The client may have disconnected.
                try? serve(connection)
                connection.close()
            }
        }
    }

    var port: String { "\(listener.address.port!)" }

    func stop() throws {
        acceptor.kill()
        try acceptor.join()
        listener.close()
    }

    /// Runs `body` with the port of such a service.
    static func with<R>(_ serve: @escaping (Connection) throws -> Void, _ body: (String) throws -> R) throws -> R {
        let service = try FakeService(serve)
        let result = Result { try body(service.port) }
        try service.stop()
        return try result.get()
    }

    /// A port without a listener.
    static func unusedPort() throws -> String {
        let service = try FakeService { _ in }
        defer { try? service.stop() }
        return service.port
    }
}
