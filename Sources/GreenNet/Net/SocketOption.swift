import Glibc

/// A socket option with its value: `try connection.setOption(.keepAlive(idle: .seconds(60), interval: .seconds(10), count: 5))`.
///
/// A value out of its range is an error where the option is set, so that it may come from a configuration: `cannot set the keep-alive idle time: 0 s is
/// out of range, 1 to 32767 s`.
public struct SocketOption: Hashable, Sendable {
    private enum Kind: Hashable {
        case keepAlive(idle: Duration, interval: Duration, count: Int)
        case noKeepAlive
        case reuseAddress(Bool)
        case reusePort(Bool)
        case userTimeout(Duration)
        case noDelay(Bool)
        case dscp(Int)
        case receiveBuffer(Int)
        case sendBuffer(Int)
        case device(String)
        case deferAccept(Duration)
        case fastOpen(Int)
    }

    private let kind: Kind

    private init(_ kind: Kind) { self.kind = kind }

    /// After `idle` in which nothing came, the kernel asks the other side, again every `interval`, and gives it up after `count` questions without an
    /// answer: calls then fail with ETIMEDOUT.  TCP only.
    ///
    /// Both times are 1 to 32767 seconds, rounded up to whole seconds; `count` is 1 to 127.
    public static func keepAlive(idle: Duration, interval: Duration, count: Int) -> SocketOption {
        SocketOption(.keepAlive(idle: idle, interval: interval, count: count))
    }

    /// The kernel does not ask whether a silent peer is there.  So it is unless set otherwise.
    public static let noKeepAlive = SocketOption(.noKeepAlive)

    /// Gives the other side up, with ETIMEDOUT, when bytes that were sent are not acknowledged for this long, or it has had no room for them.  TCP only.
    ///
    /// 1 ms to 2147483647 ms (24 days), rounded up to milliseconds; zero leaves it to the kernel, which tries for about 15 minutes.  A client that pauses reading for
    /// longer is cut off, too, though its kernel answers.
    public static func userTimeout(_ length: Duration) -> SocketOption { SocketOption(.userTimeout(length)) }

    /// Whether small pieces are sent at once: true unless set otherwise.  TCP only.
    public static func noDelay(_ isOn: Bool) -> SocketOption { SocketOption(.noDelay(isOn)) }

    /// The class of service that packets are marked with: a DSCP of 0 to 63, such as 46 for expedited forwarding.  For IPv4 and IPv6.
    public static func dscp(_ number: Int) -> SocketOption { SocketOption(.dscp(number)) }

    /// The kernel's buffer for what has come, 1 to 1073741823 bytes.  The kernel doubles it for its own needs, and takes no more than
    /// `net.core.rmem_max` without a word: `connection.option(SO_RCVBUF)` is what it has then.  It no longer adapts the buffer by itself.
    public static func receiveBuffer(_ bytes: Int) -> SocketOption { SocketOption(.receiveBuffer(bytes)) }

    /// The kernel's buffer for what was not sent yet, 1 to 1073741823 bytes.  As `receiveBuffer`, with `net.core.wmem_max`.
    public static func sendBuffer(_ bytes: Int) -> SocketOption { SocketOption(.sendBuffer(bytes)) }

    /// Only packets of this interface, by its name of 1 to 15 bytes.  ENODEV where there is no such interface; an interface once bound is not
    /// changed without CAP_NET_RAW.
    public static func bindToDevice(_ name: String) -> SocketOption { SocketOption(.device(name)) }

    /// A listener reports a connection when its client has sent something, and not before; after `time` without a byte it is reported all the same, where the
    /// client's system still answers.  1 to 32767 seconds, rounded up to whole seconds, which the kernel in turn rounds up to its steps of retransmission (1, 3,
    /// 7, 15 seconds and so on).  TCP only, for listeners.
    public static func deferAccept(_ time: Duration) -> SocketOption { SocketOption(.deferAccept(time)) }

    /// A client that was here before may send its first bytes with its first packet (RFC 7413); this many such connections, 1 to 65535, may wait to be
    /// established; the kernel cuts the number at `net.core.somaxconn`.  In effect where bit 2 of `net.ipv4.tcp_fastopen` is set.  TCP only, for listeners.
    public static func fastOpen(queue length: Int) -> SocketOption { SocketOption(.fastOpen(length)) }

    /// Whether a listener may be bound though connections of an earlier one are still closing: true unless set otherwise.  For sockets that are yet to be bound.
    public static func reuseAddress(_ isOn: Bool) -> SocketOption { SocketOption(.reuseAddress(isOn)) }

    /// Whether several sockets, each with this option, may be bound to one port; the kernel spreads connections and datagrams over them.  For sockets
    /// that are yet to be bound.
    public static func reusePort(_ isOn: Bool) -> SocketOption { SocketOption(.reusePort(isOn)) }
}

// MARK: - Setting

extension SocketOption {
    /// On a socket of this address family; errors name `peer`.
    func set(on descriptor: Int32, family: Int32, _ peer: SocketAddress?) throws(NetError) {
        let target = Target(descriptor: descriptor, family: family, peer: peer)
        let (tcp, socket) = (Int32(IPPROTO_TCP), SOL_SOCKET)
        switch kind {
        case .keepAlive(let idle, let interval, let count): try target.setKeepAlive(idle, interval, count)
        case .noKeepAlive: try target.set(socket, SO_KEEPALIVE, 0, "keep-alive")
        case .userTimeout(let length):
            let milliseconds = length.roundedUp(to: .milliseconds(1))
            try target.set(tcp, TCP_USER_TIMEOUT, milliseconds, 0...Int(Int32.max), unit: " ms", "the user timeout")
        case .noDelay(let isOn): try target.set(tcp, TCP_NODELAY, isOn ? 1 : 0, "no-delay")
        case .dscp(let number): try target.setDSCP(number)
        case .receiveBuffer(let bytes):
            try target.set(socket, SO_RCVBUF, bytes, Target.bufferSizes, unit: " bytes", "the receive buffer")
        case .sendBuffer(let bytes):
            try target.set(socket, SO_SNDBUF, bytes, Target.bufferSizes, unit: " bytes", "the send buffer")
        case .device(let name): try target.bind(toDevice: name)
        case .deferAccept(let time):
            let seconds = time.roundedUp(to: .seconds(1))
            try target.set(tcp, TCP_DEFER_ACCEPT, seconds, 1...32767, unit: " s", "the deferral of accepts")
        case .fastOpen(let length): try target.set(tcp, TCP_FASTOPEN, length, 1...65535, "fast open")
        case .reuseAddress(let isOn): try target.set(socket, SO_REUSEADDR, isOn ? 1 : 0, "address reuse")
        case .reusePort(let isOn): try target.set(socket, SO_REUSEPORT, isOn ? 1 : 0, "port reuse")
        }
    }
}

/// The socket that an option is set on.
private struct Target {
    let descriptor: Int32
    let family: Int32
    let peer: SocketAddress?

    /// The kernel doubles them.
    static let bufferSizes = 1...Int(Int32.max) / 2

    func set(_ level: Int32, _ name: Int32, _ value: Int32, _ words: String) throws(NetError) {
        try check(SystemCalls.setOption(descriptor, level: level, name, to: value), words)
    }

    func set(
        _ level: Int32, _ name: Int32, _ value: Int, _ range: ClosedRange<Int>, unit: String = "", _ words: String
    ) throws(NetError) {
        try check(value, range, unit, words)
        try set(level, name, Int32(value), words)
    }

    /// All three are checked before the first is set.
    func setKeepAlive(_ idle: Duration, _ interval: Duration, _ count: Int) throws(NetError) {
        let (idle, interval) = (idle.roundedUp(to: .seconds(1)), interval.roundedUp(to: .seconds(1)))
        try check(idle, 1...32767, " s", "the keep-alive idle time")
        try check(interval, 1...32767, " s", "the keep-alive interval")
        try check(count, 1...127, "", "the keep-alive count")
        let tcp = Int32(IPPROTO_TCP)
        try set(tcp, TCP_KEEPIDLE, Int32(idle), "the keep-alive idle time")
        try set(tcp, TCP_KEEPINTVL, Int32(interval), "the keep-alive interval")
        try set(tcp, TCP_KEEPCNT, Int32(count), "the keep-alive count")
        try set(SOL_SOCKET, SO_KEEPALIVE, 1, "keep-alive")
    }

    /// The upper six bits; the lower two are the kernel's, for congestion.
    func setDSCP(_ number: Int) throws(NetError) {
        try check(number, 0...63, "", "the DSCP")
        let value = Int32(number) << 2
        if family == AF_INET6 { try set(Int32(IPPROTO_IPV6), IPV6_TCLASS, value, "the DSCP") }
        // An IPv6 socket may have an IPv4 peer, with a mapped address.
        try set(Int32(IPPROTO_IP), IP_TOS, value, "the DSCP")
    }

    func bind(toDevice name: String) throws(NetError) {
        let isName = (1..<Int(IF_NAMESIZE)).contains(name.utf8.count) && !name.utf8.contains(0)
        guard isName else {
            throw NetError(
                option: "the device", .invalid("'\(name.escaped)' is no interface's name, of 1 to 15 bytes"), peer)
        }
        let result = SystemCalls.setOption(descriptor, level: SOL_SOCKET, SO_BINDTODEVICE, to: name)
        try check(result, "the device '\(name.escaped)'")
    }

    private func check(
        _ value: Int, _ range: ClosedRange<Int>, _ unit: String, _ words: String
    ) throws(NetError) {
        if range.contains(value) { return }
        let text = "\(value)\(unit) is out of range, \(range.lowerBound) to \(range.upperBound)\(unit)"
        throw NetError(option: words, .invalid(text), peer)
    }

    private func check(_ result: Int, _ words: String) throws(NetError) {
        if result < 0 { throw NetError(option: words, .system(SystemError(Int32(-result))), peer) }
    }
}

extension Duration {
    /// How many of `unit` it takes; clamped for durations of more than 292 years.
    fileprivate func roundedUp(to unit: Duration) -> Int {
        let (whole, rest) = Int(nanoseconds).quotientAndRemainder(dividingBy: Int(unit.nanoseconds))
        return rest > 0 ? whole + 1 : whole
    }
}
