import GreenNet

/// A port for a server that wants to be told one.
enum FreePort {
    /// One that no server listens on.
    static func find() throws -> Int {
        for _ in 0..<1000 {
            let candidate = Int.random(in: 20_000..<30_000)
            if !isTaken(candidate) { return candidate }
        }
        throw BenchFailure("no free port from 20000 to 29999")
    }

    static func isTaken(_ port: Int) -> Bool {
        guard let address = SocketAddress(ip: "127.0.0.1", port: UInt16(port)),
            let connection = try? Connection.connect(to: address)
        else { return false }
        connection.close()
        return true
    }
}
