import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct ConnectionOptionsTests {
    @Test func `a connection has the address that its other side is connected to`() throws {
        try onHub {
            let (client, served) = try connectedConnections()
            #expect(try served.localAddress() == client.peer)
            #expect(try client.localAddress() == served.peer)
        }
    }

    @Test func `an option that was set is read back`() throws {
        try onHub {
            let (connection, _) = try connectedConnections()
            #expect(try connection.option(TCP_NODELAY, level: Int32(IPPROTO_TCP)) == 1)
            #expect(try connection.option(SO_KEEPALIVE) == 0)
            try connection.setOption(SO_KEEPALIVE, to: 1)
            #expect(try connection.option(SO_KEEPALIVE) == 1)
        }
    }

    @Test func `what the kernel refuses is thrown, and a closed connection has no options`() throws {
        try onHub {
            let (connection, _) = try connectedConnections()
            let refused = failure { () throws(NetError) in try connection.setOption(-1, to: 1) }
            #expect(refused?.errno == SystemError(ENOPROTOOPT))
            #expect(refused?.description.hasPrefix("cannot set a socket option for 127.0.0.1:") == true)
            connection.close()
            #expect(
                failure { () throws(NetError) in try connection.setOption(SO_KEEPALIVE, to: 1) }?.waitError == .closed)
            #expect(failure { () throws(NetError) in try connection.option(SO_KEEPALIVE) }?.waitError == .closed)
            #expect(failure { () throws(NetError) in try connection.localAddress() }?.waitError == .closed)
        }
    }
}
