import TestSupport
import Testing

@testable import EchoServer
@testable import GreenNet

/// With a thousand clients, the frames of a waiting connection are in no cache: they are fetched while the green thread before it runs.
@Suite(.enabled(if: Sanitizer.active == .none, "a sanitizer's frames are several times as large"))
struct ParkedReceiverTests {
    /// In debug builds the frames are larger, and only have to lie in the page that every green thread has in memory.
    private var limit: Int {
        #if DEBUG
        4096
        #else
        Context.prefetchedDepth
        #endif
    }

    @Test func `the frames of a handler that waits to receive lie in the cache lines that are fetched before it runs`()
        throws
    {
        let limit = limit
        try onHub {
            let receiver = Receiver()
            let handler = EchoHandler(
                transform: .upper, idleTimeout: .seconds(60), writeTimeout: .seconds(60),
                counters: CounterRow(counters: try Counters(rows: 1), row: 0))
            let listener = try Listener(on: SocketAddress(ip: "127.0.0.1", port: 0)!)
            let server = StreamServer(listener) { try serve($0, by: handler, noting: receiver) }
            server.start()
            let client = try Connection.connect(to: listener.address)
            try client.sendAll(Array("hello".utf8))
            try #expect(client.receive(exactly: 5) == Array("HELLO".utf8))
            try Greenlet.yield()
            let thread = try #require(receiver.thread)
            #expect(thread.state == .parked && thread.waitKind == .readable)
            let depth = try #require(receiver.callerFrame) - thread.stackPointer
            #expect(depth > 0 && depth <= limit)
            client.close()
            try server.stop()
        }
    }
}

private final class Receiver {
    var thread: GreenThread?
    /// An address in the frame of the handler's caller.
    var callerFrame: UnsafeMutableRawPointer?
}

@inline(never)
private func serve(_ connection: Connection, by handler: EchoHandler, noting receiver: Receiver) throws {
    try withUnsafeTemporaryAllocation(byteCount: 16, alignment: 16) { memory in
        receiver.thread = Hub.currentThread
        receiver.callerFrame = memory.baseAddress
        try handler.serve(connection)
    }
}
