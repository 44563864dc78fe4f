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
        if result != 0 { throw Unexpected("connect: \(Errno(errno))") }
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

    /// Sends so many zeros, or what the kernel takes of them at once.
    func sendNow(_ count: Int) {
        let zeros = [UInt8](repeating: 0, count: count)
        _ = send(descriptor, zeros, count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
    }

    /// Sends zeros until the other side has taken nothing for a while, or has gone; returns how many.
    func sendUntilFull(limit: Int = 64 << 20) -> Int {
        let zeros = [UInt8](repeating: 0, count: 65_536)
        var (sent, isFull) = (0, false)
        while !isFull && sent < limit {
            let count = send(descriptor, zeros, zeros.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
            if count > 0 { sent += count }
            var wish = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            if count < 0 && errno != EAGAIN { break }
            isFull = count < 0 && poll(&wish, 1, 50 * Int32(Sanitizer.slowness)) == 0
        }
        return sent
    }
}
