import Glibc
import GreenNet
import TestSupport

/// SYN packets without a client behind them, from addresses all over a network.
final class SynFlood {
    private let descriptor: Int32
    private let port: UInt16
    private var random = SeededRandom(seed: 1)
    private(set) var sent = 0

    /// Sends to a port of 127.0.0.1.  Needs root.
    init(port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), Int32(IPPROTO_RAW))
        self.port = port
        if descriptor < 0 { throw Unexpected("no raw socket: \(SystemError(errno))") }
    }

    deinit { close(descriptor) }

    /// Sends `rate` packets a second for `length`.
    func run(for length: Duration, rate: Int) throws {
        let (start, end) = (Deadline.now, Deadline.after(length))
        while !end.hasPassed {
            let due = Int((.now - start).nanoseconds) * rate / 1_000_000_000
            // A few at a time, so that the hub's other green threads run in between.
            for _ in 0..<min(due - sent, rate / 100) { send() }
            try Greenlet.sleep(for: .milliseconds(1))
        }
    }

    private func send() {
        sent += 1
        let source = NetworkNamespace.elsewhere | UInt32.random(in: 1...0xff_ffff, using: &random)
        let packet = SynFlood.packet(
            from: source, UInt16.random(in: 1024...UInt16.max, using: &random), to: 0x7f00_0001, port, random.next())
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        _ = withUnsafePointer(to: &target) { target in
            target.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(
                    descriptor, packet, packet.count, Int32(MSG_DONTWAIT), $0, socklen_t(MemoryLayout<sockaddr_in>.size)
                )
            }
        }
    }

    /// A header of IPv4, whose checksum and length the kernel fills in, and a header of TCP with nothing but SYN.
    private static func packet(
        from source: UInt32, _ sourcePort: UInt16, to target: UInt32, _ port: UInt16, _ sequence: UInt64
    ) -> [UInt8] {
        let sequence = UInt32(truncatingIfNeeded: sequence)
        let (headerLength, syn, window): (UInt16, UInt16, UInt16) = (5 << 12, 0x02, 64_240)
        var tcp: [UInt16] = [
            sourcePort, port, UInt16(sequence >> 16), UInt16(truncatingIfNeeded: sequence), 0, 0, headerLength | syn,
            window, 0, 0,
        ]
        let addresses = [source, target].flatMap { [UInt16($0 >> 16), UInt16(truncatingIfNeeded: $0)] }
        tcp[8] = checksum(of: addresses + [UInt16(IPPROTO_TCP), 20] + tcp)
        let (version, timeToLive): (UInt16, UInt16) = (0x4500, 64 << 8)
        let ip: [UInt16] = [version, 0, 0, 0, timeToLive | UInt16(IPPROTO_TCP), 0] + addresses
        return (ip + tcp).flatMap { [UInt8($0 >> 8), UInt8(truncatingIfNeeded: $0)] }
    }

    /// The complement of the sum of 16-bit words, in ones' complement.
    private static func checksum(of words: [UInt16]) -> UInt16 {
        var sum = words.reduce(UInt32(0)) { $0 + UInt32($1) }
        while sum > 0xffff { sum = (sum & 0xffff) + sum >> 16 }
        return ~UInt16(sum)
    }
}
