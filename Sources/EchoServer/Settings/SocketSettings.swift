import Glibc
import GreenNet
import ProgramKit

/// Options that the server's own TCP listeners get.  The kernel copies them to the connections that it accepts, so that no connection costs a system call.
///
/// Sockets that a service manager has passed in keep the options that the manager has given them.
struct SocketSettings: Equatable, Sendable {
    /// Nil for off.
    var keepAlive: KeepAlive? = KeepAlive()
    /// Nil for the kernel's own.
    var userTimeout: Duration?
    var dscp: Int?
    var device: String?
    var deferAccept: Int?
    var fastOpen: Int?

    /// When the kernel asks a silent client whether it is there.
    struct KeepAlive: Equatable, Sendable {
        /// Seconds.
        var idle = 120
        /// Seconds.
        var interval = 30
        var count = 4
    }

    /// For a listener on `address`: none for a unix socket, whose kernel side has none of them.
    func options(for address: SocketAddress) -> [SocketOption] {
        if case .unix = address { return [] }
        let all: [SocketOption?] = [
            keepAlive.map { .keepAlive(idle: .seconds($0.idle), interval: .seconds($0.interval), count: $0.count) },
            userTimeout.map { .userTimeout($0) }, dscp.map { .dscp($0) }, device.map { .bindToDevice($0) },
            deferAccept.map { .deferAccept(.seconds($0)) }, fastOpen.map { .fastOpen(queue: $0) },
        ]
        return all.compactMap { $0 }
    }

    /// For a socket of UDP.
    var datagramOptions: [SocketOption] {
        [dscp.map { .dscp($0) }, device.map { .bindToDevice($0) }].compactMap { $0 }
    }

    /// Throws where the machine does not have the interface.
    func checkDevice() throws(StartFailure) {
        guard let device, if_nametoindex(device) == 0 else { return }
        throw StartFailure(.unavailable, "cannot listen on \(device): there is no such interface (ENODEV)")
    }

    /// Throws where a unix socket is listened on and one of these was given, which it would not have.
    static func check(_ settings: Settings, _ sources: SettingSources) throws(StartFailure) {
        guard let path = settings.unixSocket else { return }
        for name in all.map(\.name) {
            guard let (text, origin) = sources.pick(name), text != "off", text != "0" || name == "dscp" else {
                continue
            }
            throw origin.failure("'\(text)' needs a TCP listener: unix-socket is \(path)")
        }
    }
}

// MARK: - Each of them

extension SocketSettings {
    private typealias Numbers = NumericOptions.Server

    static let all: [Setting] = [
        Setting(
            "keepalive", \.socket.keepAlive, KeepAlive.rule,
            parse: { text in text == "off" ? .some(nil) : KeepAlive(text).map { .some($0) } },
            show: { $0.map { "\($0)" } ?? "off" }),
        Setting.timeout(\.socket.userTimeout, Numbers.tcpUserTimeout),
        Settings.optional(\.socket.dscp, Numbers.dscp),
        Setting(
            "bind-device", \.socket.device, "the name of a network interface, 1 to \(longestDevice) bytes",
            parse: { isDevice($0) ? $0 : Optional<String?>.none }, show: { $0 ?? "none" }),
        Settings.optionalOrZero(\.socket.deferAccept, Numbers.deferAccept),
        Settings.optionalOrZero(\.socket.fastOpen, Numbers.fastOpen),
    ]

    /// The kernel's IFNAMSIZ, without the end.
    private static let longestDevice = 15

    @Sendable
    private static func isDevice(_ text: String) -> Bool {
        (1...longestDevice).contains(text.utf8.count) && text.utf8.allSatisfy { $0 > 0x20 && $0 != UInt8(ascii: "/") }
    }
}

extension SocketSettings.KeepAlive: CustomStringConvertible {
    static let rule =
        "off, or IDLE[,INTERVAL[,COUNT]]: times of \(Numbers.keepAliveIdle.span) seconds, and a count of \(Numbers.keepAliveCount.span)"

    private typealias Numbers = NumericOptions.Server

    /// What `text` leaves out has its default.
    init?(_ text: String) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard (1...3).contains(parts.count), let idle = Numbers.keepAliveIdle.value(of: parts[0]) else { return nil }
        self.init(idle: idle)
        if parts.count > 1 {
            guard let interval = Numbers.keepAliveIdle.value(of: parts[1]) else { return nil }
            self.interval = interval
        }
        if parts.count > 2 {
            guard let count = Numbers.keepAliveCount.value(of: parts[2]) else { return nil }
            self.count = count
        }
    }

    var description: String { "\(idle),\(interval),\(count)" }
}
