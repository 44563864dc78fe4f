import Glibc
import GreenNet
import TestSupport

/// A socket as the kernel has it, for what `Connection` does not offer: ending a connection with a reset.  Its calls block.
final class RawSocket {
    private var descriptor: Int32

    /// Connects to a port of 127.0.0.1.
    init(port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if result != 0 { throw Unexpected("connect: \(SystemError(errno))") }
    }

    /// Connects to a unix socket.
    init(path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        if result != 0 { throw Unexpected("connect: \(SystemError(errno))") }
    }

    convenience init(_ address: SocketAddress) throws {
        if case .unix(let path) = address { try self.init(path: path) } else { try self.init(port: address.port!) }
    }

    deinit { close() }

    func close() {
        if descriptor >= 0 { _ = Glibc.close(descriptor) }
        descriptor = -1
    }

    /// Ends the connection at once; the other side gets ECONNRESET.
    func reset() {
        var now = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    /// Sends `text`, of which the kernel sends the last byte as urgent data.
    func sendUrgent(_ text: String) { _ = Glibc.send(descriptor, text, text.utf8.count, Int32(MSG_OOB | MSG_NOSIGNAL)) }

    func send(_ text: String) { _ = Glibc.send(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL)) }

    func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Receives everything until the other side ends.
    func receiveAll() -> String {
        var (all, part) = ([UInt8](), [UInt8](repeating: 0, count: 4096))
        while true {
            let count = recv(descriptor, &part, part.count, 0)
            if count <= 0 { return String(decoding: all, as: UTF8.self) }
            all += part[..<count]
        }
    }

    /// Sends `count` zeros, or as many as the kernel takes at once.
    func sendNow(_ count: Int) {
        let zeros = [UInt8](repeating: 0, count: count)
        _ = Glibc.send(descriptor, zeros, count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
    }

    /// Sends zeros until the other side takes nothing for a while or has disconnected; returns the number of zeros.
    func sendUntilFull(limit: Int = 64 << 20) -> Int {
        let zeros = [UInt8](repeating: 0, count: 65_536)
        var (sent, isFull) = (0, false)
        while !isFull && sent < limit {
            let count = Glibc.send(descriptor, zeros, zeros.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
            if count > 0 { sent += count }
            var wish = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            if count < 0 && errno != EAGAIN { break }
            isFull = count < 0 && poll(&wish, 1, 50 * Int32(Sanitizer.slowness)) == 0
        }
        return sent
    }
}
