import Glibc
import TestSupport
import Testing

@testable import GreenNet

/// How often the kernel is told what a wait is for: a wait like the one before needs no such call.
struct WatchCallTests {
    private static let waits = 100

    @Test func `receives that wait tell the kernel once`() throws {
        try onHub {
            let (connection, peer) = try connectedPair()
            try expectWatchCalls(1) {
                for number in 0..<WatchCallTests.waits {
                    let receiver = spawn { try connection.receive(upTo: 100) }
                    try receiver.waitUntilParked()
                    peer.write(pattern(number + 1))
                    #expect(try receiver.value()?.count == min(number + 1, 100))
                }
            }
        }
    }

    @Test func `a send that waits again and again tells the kernel when it begins to wait, and once after its end`()
        throws
    {
        try onHub {
            let (connection, peer) = try narrowPair()
            let count = 4 << 20
            try expectWatchCalls(2) {
                let sender = spawn { try connection.sendAll(pattern(count)) }
                try sender.waitUntilParked()
                #expect(try peer.read(exactly: count).count == count)
                try sender.join()
                try Greenlet.sleep(for: .milliseconds(1))
            }
        }
    }

    private func expectWatchCalls(_ most: Int, _ body: () throws -> Void) rethrows {
        let before = LibraryCall.watch.count
        #expect(before > 0, "the loop's calls are not counted")
        try body()
        let calls = LibraryCall.watch.count - before
        #expect(calls <= most)
    }
}
