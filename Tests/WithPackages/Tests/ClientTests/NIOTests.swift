import GreenNet
import HubSupport
import NIOCore
import NIOPosix
import Testing

/// SwiftNIO's async channels, used from green threads.
struct NIOTests {
    @Test func `two hundred green threads each talk over an async channel at the same time`() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        try await onHub {
            let listener = try Listener(on: .loopback(port: 0))
            let server = StreamServer(listener) { connection in
                while let bytes = try connection.receive(upTo: 4096) { try connection.sendAll(bytes) }
            }
            server.start()
            let port = Int(listener.address.port!)
            try withGreenGroup { threads in
                for number in 0..<200 {
                    threads.spawn {
                        let text = try awaiting { try await echo("message \(number)", port, group) }
                        #expect(text == "message \(number)")
                    }
                }
            }
        }
        try await group.shutdownGracefully()
    }
}

private func echo(_ text: String, _ port: Int, _ group: MultiThreadedEventLoopGroup) async throws -> String {
    let channel = try await ClientBootstrap(group: group).connect(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
            try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
    }
    return try await channel.executeThenClose { inbound, outbound in
        var answer = ""
        var received = inbound.makeAsyncIterator()
        // In two parts, so that each green thread is suspended several times.
        for part in [text.prefix(4), text.dropFirst(4)] {
            try await outbound.write(ByteBuffer(substring: part))
            let end = answer.utf8.count + part.utf8.count
            while answer.utf8.count < end, let bytes = try await received.next() { answer += String(buffer: bytes) }
        }
        return answer
    }
}
