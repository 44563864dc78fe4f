import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct DatagramSocketTests {
    /// Gives `body` a socket that is bound to `address`, and never blocks.
    private func withReceiver(at address: SocketAddress, _ body: (Int32) throws -> Void) throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var storage = try #require(address.storage)
        try #require(SystemCalls.bind(descriptor, to: &storage) == 0)
        try body(descriptor)
    }

    /// Gives `body` a way to send to `path`, which says whether the datagram was taken.
    private func withSender(to path: String, _ body: ((String) -> Bool) throws -> Void) throws {
        let socket = try DatagramSocket()
        defer { socket.close() }
        try body { text in
            Array(text.utf8).withUnsafeBytes { bytes in
                (try? socket.send(bytes, to: .unix(path: path))) != nil
            }
        }
    }

    private func receive(_ descriptor: Int32) -> String? {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 4096) { buffer in
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
        }
    }

    @Test(arguments: [true, false])
    func `each send is one datagram, to a path or to an abstract name`(onPath: Bool) throws {
        try withTemporaryDirectory { directory in
            let path = (onPath ? "" : "@") + "\(directory)/socket"
            try withReceiver(at: .unix(path: path)) { receiver in
                try withSender(to: path) { send in
                    #expect(send("one\ntwo\n"))
                    #expect(send("three"))
                }
                #expect(receive(receiver) == "one\ntwo\n")
                #expect(receive(receiver) == "three")
                #expect(receive(receiver) == nil)
            }
        }
    }

    @Test func `without a receiver nothing is sent, and a receiver that comes later is found`() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/socket"
            try withSender(to: path) { send in
                #expect(!send("lost"))
                try withReceiver(at: .unix(path: path)) { receiver in
                    #expect(send("found"))
                    #expect(receive(receiver) == "found")
                }
                unlink(path)
                try withReceiver(at: .unix(path: path)) { receiver in
                    #expect(send("again"))
                    #expect(receive(receiver) == "again")
                }
            }
        }
    }

    @Test func `a receiver that does not read delays no sender`() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/socket"
            try withReceiver(at: .unix(path: path)) { receiver in
                try withSender(to: path) { send in
                    while send("more") {}
                    #expect(receive(receiver) == "more")
                    #expect(send("last"))
                }
            }
        }
    }

    @Test func `a path that is too long is refused`() throws {
        try withSender(to: "/" + String(repeating: "x", count: SocketAddress.longestUnixPath)) { send in
            #expect(!send("lost"))
        }
    }
}
