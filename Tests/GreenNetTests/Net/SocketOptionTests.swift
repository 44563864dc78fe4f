import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct SocketOptionTests {
    private static let tcp = Int32(IPPROTO_TCP)

    private func message(_ option: SocketOption, _ connection: Connection) -> String? {
        let error = failure { () throws(NetError) in try connection.setOption(option) }
        return error.map { $0.description.replacing(" for \(connection.peer)", with: "") }
    }

    @Test func `each end of each range is taken, and read back`() throws {
        try onHub {
            let (connection, _) = try connectedConnections()
            for (seconds, count) in [(1, 1), (32767, 127)] {
                try connection.setOption(
                    .keepAlive(idle: .seconds(seconds), interval: .seconds(seconds), count: count))
                #expect(try connection.option(SO_KEEPALIVE) == 1)
                #expect(try connection.option(TCP_KEEPIDLE, level: Self.tcp) == Int32(seconds))
                #expect(try connection.option(TCP_KEEPINTVL, level: Self.tcp) == Int32(seconds))
                #expect(try connection.option(TCP_KEEPCNT, level: Self.tcp) == Int32(count))
            }
            try connection.setOption(.noKeepAlive)
            #expect(try connection.option(SO_KEEPALIVE) == 0)
            for milliseconds in [Int32.max, 1, 0] {
                try connection.setOption(.userTimeout(.milliseconds(milliseconds)))
                #expect(try connection.option(TCP_USER_TIMEOUT, level: Self.tcp) == milliseconds)
            }
            for isOn in [false, true] {
                try connection.setOption(.noDelay(isOn))
                #expect(try connection.option(TCP_NODELAY, level: Self.tcp) == (isOn ? 1 : 0))
                try connection.setOption(.reuseAddress(isOn))
                #expect(try connection.option(SO_REUSEADDR) == (isOn ? 1 : 0))
            }
            for bytes in [1, 50_000, Int(Int32.max) / 2] {
                try connection.setOption(.receiveBuffer(bytes))
                try connection.setOption(.sendBuffer(bytes))
                #expect(try connection.option(SO_RCVBUF) >= min(bytes, 50_000))
                #expect(try connection.option(SO_SNDBUF) >= min(bytes, 50_000))
            }
        }
    }

    @Test func `times are rounded up`() throws {
        try onHub {
            let (connection, _) = try connectedConnections()
            try connection.setOption(.keepAlive(idle: .milliseconds(1), interval: .milliseconds(1001), count: 3))
            #expect(try connection.option(TCP_KEEPIDLE, level: Self.tcp) == 1)
            #expect(try connection.option(TCP_KEEPINTVL, level: Self.tcp) == 2)
            try connection.setOption(.userTimeout(.microseconds(1)))
            #expect(try connection.option(TCP_USER_TIMEOUT, level: Self.tcp) == 1)
        }
    }

    @Test func `a value beyond each end is an error that names option, value and range, and changes nothing`() throws {
        try onHub {
            let (connection, _) = try connectedConnections()
            func keepAlive(_ idle: Int, _ interval: Int, _ count: Int) -> String? {
                message(.keepAlive(idle: .seconds(idle), interval: .seconds(interval), count: count), connection)
            }
            let seconds = "is out of range, 1 to 32767 s"
            #expect(keepAlive(0, 1, 1) == "cannot set the keep-alive idle time: 0 s \(seconds)")
            #expect(keepAlive(32768, 1, 1) == "cannot set the keep-alive idle time: 32768 s \(seconds)")
            #expect(keepAlive(1, -1, 1) == "cannot set the keep-alive interval: -1 s \(seconds)")
            #expect(keepAlive(1, 32768, 1) == "cannot set the keep-alive interval: 32768 s \(seconds)")
            #expect(keepAlive(1, 1, 0) == "cannot set the keep-alive count: 0 is out of range, 1 to 127")
            #expect(keepAlive(1, 1, 128) == "cannot set the keep-alive count: 128 is out of range, 1 to 127")
            #expect(try connection.option(SO_KEEPALIVE) == 0)
            let milliseconds = "is out of range, 0 to 2147483647 ms"
            #expect(
                message(.userTimeout(.milliseconds(-1)), connection)
                    == "cannot set the user timeout: -1 ms \(milliseconds)")
            #expect(
                message(.userTimeout(.milliseconds(Int64(Int32.max) + 1)), connection)
                    == "cannot set the user timeout: 2147483648 ms \(milliseconds)")
            #expect(message(.userTimeout(.seconds(Int64.max)), connection)?.hasSuffix(milliseconds) == true)
            let bytes = "is out of range, 1 to 1073741823 bytes"
            #expect(message(.receiveBuffer(0), connection) == "cannot set the receive buffer: 0 bytes \(bytes)")
            #expect(
                message(.sendBuffer(1 << 30), connection) == "cannot set the send buffer: 1073741824 bytes \(bytes)")
            #expect(message(.dscp(-1), connection) == "cannot set the DSCP: -1 is out of range, 0 to 63")
            #expect(message(.dscp(64), connection) == "cannot set the DSCP: 64 is out of range, 0 to 63")
        }
    }

    @Test(arguments: ["127.0.0.1", "::1"], [0, 46, 63])
    func `the class of service is set for both address families`(ip: String, number: Int) throws {
        try onHub {
            let listener = try Listener(on: SocketAddress(ip: ip, port: 0)!, options: [.dscp(number)])
            let client = try Connection.connect(to: listener.address, options: [.dscp(number)])
            // An accepted connection inherits it from its listener.
            for connection in [client, try listener.accept()] {
                let (level, name) = ip == "::1" ? (IPPROTO_IPV6, IPV6_TCLASS) : (IPPROTO_IP, IP_TOS)
                #expect(try connection.option(name, level: Int32(level)) & ~3 == Int32(number << 2))
            }
        }
    }

    @Test func `an interface is named in 1 to 15 bytes, and has to exist`() throws {
        try onHub {
            let (connection, _) = try connectedConnections()
            try connection.setOption(.bindToDevice("lo"))
            for name in ["", String(repeating: "x", count: 16), "l\0"] {
                #expect(message(.bindToDevice(name), connection)?.contains("1 to 15 bytes") == true)
            }
            #expect(
                message(.bindToDevice(String(repeating: "x", count: 15)), connection)
                    == "cannot set the device 'xxxxxxxxxxxxxxx': no such device (ENODEV)")
        }
    }

    @Test func `two listeners share a port where both allow it, and else the second is refused`() throws {
        try onHub {
            let first = try Listener(on: loopback, options: [.reusePort(true)])
            _ = try Listener(on: first.address, options: [.reusePort(true)])
            #expect(
                failure { () throws(NetError) in try Listener(on: first.address) }?.errno == SystemError(EADDRINUSE))
        }
    }

    @Test func `an option of TCP is refused for a unix socket, with its name`() throws {
        try onHub {
            let (one, _) = try Connection.pair()
            #expect(
                message(.noDelay(true), one)?.hasSuffix("operation not supported (EOPNOTSUPP)") == true)
            one.close()
            let error = failure { () throws(NetError) in try one.setOption(.sendBuffer(1)) }
            #expect(error?.waitError == .closed)
        }
    }

    @Test func `an option that is refused leaves no listener and no connection open`() throws {
        try onHub {
            let listener = try Listener(on: loopback)
            let before = openDescriptors()
            #expect(failure { () throws(NetError) in try Listener(on: loopback, options: [.dscp(64)]) } != nil)
            #expect(
                failure { () throws(NetError) in try Connection.connect(to: listener.address, options: [.dscp(64)]) }
                    != nil)
            #expect(openDescriptors() == before)
        }
    }

    @Test func `a listener has a queue for fast open, cut as the kernel cuts all queues`() throws {
        try onHub {
            #expect(throws: Never.self) {
                try ListeningSocket(on: loopback, backlog: 1, options: [.fastOpen(queue: 65_535)]).close()
            }
            let socket = try ListeningSocket(on: loopback, backlog: 1, options: [.fastOpen(queue: 1)])
            defer { socket.close() }
            var (value, size) = (Int32(0), socklen_t(MemoryLayout<Int32>.size))
            #expect(getsockopt(socket.descriptor, Int32(IPPROTO_TCP), TCP_FASTOPEN, &value, &size) == 0)
            #expect(value == 1)
        }
    }

    @Test(arguments: [Duration.milliseconds(1), .seconds(32767)])
    func `a listener that defers reports a client that has sent something, and no other`(time: Duration) throws {
        try onHub {
            let listener = try Listener(on: loopback, options: [.deferAccept(time)])
            defer { listener.close() }
            let (silent, talker) = (
                try Connection.connect(to: listener.address), try Connection.connect(to: listener.address)
            )
            defer {
                silent.close()
                talker.close()
            }
            try talker.sendAll("x")
            #expect(try listener.accept(until: .after(.seconds(10))).peer == talker.localAddress())
            #expect(failure { () throws(NetError) in try listener.accept(until: .now) }?.isTimeout == true)
        }
    }

    @Test func `options of listeners have ranges`() throws {
        for option in [SocketOption.fastOpen(queue: 0), .fastOpen(queue: 65_536)] {
            #expect(
                failure { () throws(NetError) in try Listener(on: loopback, options: [option]) }?.description
                    .contains("is out of range, 1 to 65535") == true)
        }
        for option in [SocketOption.deferAccept(.zero), .deferAccept(.seconds(32768))] {
            #expect(
                failure { () throws(NetError) in try Listener(on: loopback, options: [option]) }?.description
                    .contains("s is out of range, 1 to 32767 s") == true)
        }
    }
}
