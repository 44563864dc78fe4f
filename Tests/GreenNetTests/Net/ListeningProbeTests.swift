import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct ListeningProbeTests {
    private func address(_ text: String) throws -> SocketAddress { try SocketAddress(parsing: text) }

    @Test func `an address with a listener is in use, and free when the listener has closed`() throws {
        try withTemporaryPath { path in
            try onHub {
                for wanted in [loopback, .unix(path: path), .unix(path: "@greennet-probe-\(getpid())")] {
                    let listener = try Listener(on: wanted)
                    try #expect(ListeningProbe(listener.address) == .inUse)
                    // The probe has left no connection in the queue before this one.
                    let client = try Peer(connectedTo: listener.address)
                    #expect(client.write(pattern(10)) == 10)
                    let connection = try listener.accept()
                    #expect(try connection.receive() == pattern(10))
                    connection.close()
                    listener.close()
                    try #expect(ListeningProbe(listener.address) == .free)
                }
            }
        }
    }

    @Test func `the reason why an address cannot be listened on is thrown`() throws {
        try withTemporaryPath("letter") { path in
            try write("dear", to: path)
            for (wanted, code) in [
                (try address("192.0.2.1:0"), EADDRNOTAVAIL), (.unix(path: path), ENOTSOCK),
                (.unix(path: "/tmp"), EISDIR),
                (.unix(path: "\(path)/x"), ENOTDIR), (.unix(path: "\(path)x/x"), ENOENT),
                (.unix(path: String(repeating: "x", count: 108)), ENAMETOOLONG),
            ] {
                let error = #expect(throws: NetError.self) { try ListeningProbe(wanted) }
                #expect(error?.errno?.code == code, "\(wanted)")
            }
            try #expect(ListeningProbe(address("192.0.2.1:0"), freebind: true) == .free)
        }
    }

    @Test(arguments: [
        ("127.0.0.1:80", "127.0.0.1:80", true), ("127.0.0.1:80", "127.0.0.2:80", false),
        ("127.0.0.1:80", "127.0.0.1:81", false), ("127.0.0.1:0", "127.0.0.1:0", false),
        ("0.0.0.0:80", "127.0.0.1:80", true), ("[::]:80", "127.0.0.1:80", true), ("[::]:80", "[::1]:80", true),
        ("[::1]:80", "0.0.0.0:80", false), ("[::1]:80", "[::2]:80", false), ("[::]:80", "0.0.0.0:80", true),
        ("/a", "/a", true), ("/a", "/b", false), ("/a", "0.0.0.0:80", false), ("@a", "/a", false),
    ])
    func `two addresses overlap if only one of them can be listened on`(
        one: String, other: String, expected: Bool
    ) throws {
        #expect(try address(one).overlaps(address(other)) == expected)
        #expect(try address(other).overlaps(address(one)) == expected)
    }
}
