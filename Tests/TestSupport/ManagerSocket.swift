import Glibc
import GreenNet
import Testing

/// The notification socket of a service manager, under a name of its own.
package final class ManagerSocket: Sendable {
    /// The value for $NOTIFY_SOCKET.
    package let name: String
    private let descriptor: Int32

    package init() throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        // A socket that is bound without a name gets one from the kernel: an abstract name of five characters.
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let descriptor = descriptor
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, socklen_t(MemoryLayout<sa_family_t>.size)) == 0
                    ? getsockname(descriptor, address, &length) : -1
            }
        }
        try #require(result == 0)
        name = withUnsafeBytes(of: address.sun_path) { path in
            let used = Int(length) - MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!
            return "@" + String(decoding: path[1..<used], as: UTF8.self)
        }
    }

    deinit { close(descriptor) }

    /// For datagrams with descriptors: each call that receives gets one datagram.  For the hub of the calling OS thread.
    package var connection: Connection { Connection(descriptor: dup(descriptor), peer: .unix(path: "")) }

    /// The next datagram, but for those that pass descriptors; nil if there is none.
    package func next() -> String? {
        while let datagram = nextOfAll() { if !datagram.hasPrefix("FDSTORE") { return datagram } }
        return nil
    }

    private func nextOfAll() -> String? {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 4096) { buffer in
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
        }
    }

    /// Waits for the next datagram, while the hub's other green threads go on.
    package func wait(within limit: Duration = .seconds(10)) throws -> String {
        let deadline = Deadline.after(limit * Sanitizer.slowness)
        while true {
            if let datagram = next() { return datagram }
            try #require(!deadline.hasPassed, "no datagram came")
            try Greenlet.sleep(for: .milliseconds(1))
        }
    }
}
