// Connections that are made when they are first needed, one for each green thread, and a pool of them.
//
// Shows `GreenLocal`, a value of each green thread's own, and `ResourcePool`, which lends ten connections to a hundred green threads and makes no more.
//
//     swift run LazyConnection

import CourseKit
import GreenNet

@main struct LazyConnection {
    static func main() {
        var accepted = 0
        orEnd {
            let server = try StreamServer(on: .loopback(port: 0)) { client in
                accepted += 1
                while let bytes = try client.receive() { try client.sendAll(bytes) }
            }
            server.start()
            let address = server.listeners[0].address
            try oneForEach(address)
            say("three green threads with one each: \(accepted) connections")
            accepted = 0
            try pooled(address)
            say("a hundred with a pool of ten: \(accepted) connections")
            try server.stop()
        }
    }

    static let own = GreenLocal<Connection?>(nil)

    /// The connection of the green thread that calls, made at its first call.
    static func connection(to address: SocketAddress) throws -> Connection {
        if let known = own.value { return known }
        let new = try Connection.connect(to: address, until: .after(.seconds(5)))
        own.value = new
        return new
    }

    static func oneForEach(_ address: SocketAddress) throws {
        try withGreenGroup { group in
            for _ in 0..<3 {
                group.spawn { for _ in 0..<2 { try ask(connection(to: address)) } }
            }
        }
    }

    static func pooled(_ address: SocketAddress) throws {
        let pool = ResourcePool(limit: 10) { try Connection.connect(to: address, until: .after(.seconds(5))) }
        try withGreenGroup { group in
            for _ in 0..<100 { group.spawn { try pool.withResource { try ask($0) } } }
        }
        pool.close()
    }

    static func ask(_ connection: Connection) throws {
        try connection.sendAll("hello")
        _ = try connection.receive(exactly: 5, until: .after(.seconds(5)))
    }
}
