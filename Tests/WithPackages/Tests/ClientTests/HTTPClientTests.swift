import AsyncHTTPClient
import GreenNet
import HubSupport
import NIOCore
import Testing

/// AsyncHTTPClient, called from green threads, with a server of green threads on the same hub.
struct HTTPClientTests {
    @Test func `two hundred green threads each await an answer at the same time`() async throws {
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: manyConnections)
        let length = try await onHub {
            let server = try serve()
            let start = Deadline.now
            try withGreenGroup { group in
                for number in 0..<200 {
                    group.spawn {
                        let id = Greenlet.current.id
                        let text = try awaiting { try await get("/\(number)", client, server.port) }
                        #expect(text == "/\(number)")
                        #expect(Greenlet.current.id == id)
                    }
                }
            }
            return .now - start
        }
        try await client.shutdown()
        // One after the other they would take 4 seconds.
        #expect(length < .seconds(3))
    }

    @Test func `a kill and a time limit end requests that wait for their answer`() async throws {
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: manyConnections)
        try await onHub {
            let server = try serve()
            let killed = spawn { try awaiting { try await get("/never", client, server.port) } }
            try Greenlet.sleep(for: .milliseconds(20))
            killed.kill()
            try #expect(killed.join(until: .after(.seconds(5))))
            #expect(killed.state == .killed)
            #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(20)) { try awaiting { try await get("/never", client, server.port) } }
            }
            let text = try awaiting { try await get("/after", client, server.port) }
            #expect(text == "/after")
        }
        try await client.shutdown()
    }
}

private let manyConnections: HTTPClient.Configuration = {
    var configuration = HTTPClient.Configuration.singletonConfiguration
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 200
    configuration.httpVersion = .http1Only
    return configuration
}()

private func get(_ path: String, _ client: HTTPClient, _ port: UInt16) async throws -> String {
    let request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)")
    let response = try await client.execute(request, timeout: .seconds(30))
    let body = try await response.body.collect(upTo: 1024)
    return String(buffer: body)
}

/// A server that answers each request with its path after 20 ms, or never.
private func serve() throws -> (server: StreamServer, port: UInt16) {
    let listener = try Listener(on: .loopback(port: 0))
    let server = StreamServer(listener) { connection in
        while let path = try receivePath(connection) {
            try Greenlet.sleep(for: path == "/never" ? .seconds(600) : .milliseconds(20))
            try connection.sendAll("HTTP/1.1 200 OK\r\ncontent-length: \(path.utf8.count)\r\n\r\n\(path)")
        }
    }
    server.start()
    return (server, listener.address.port!)
}

/// The requests have no body.  Nil where the client has closed the connection.
private func receivePath(_ connection: Connection) throws -> String? {
    var head = ""
    while !head.hasSuffix("\r\n\r\n") {
        guard let bytes = try connection.receive(upTo: 4096) else { return nil }
        head += String(decoding: bytes, as: UTF8.self)
    }
    return String(head.split(separator: " ")[1])
}
