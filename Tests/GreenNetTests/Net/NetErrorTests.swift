import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct NetErrorTests {
    private let peer = SocketAddress(ip: "127.0.0.1", port: 4242)

    @Test func `an error names the call, the other side and what the kernel said`() {
        let error = NetError(.recv, result: -Int(ECONNRESET), peer)
        #expect(error.description == "cannot receive from 127.0.0.1:4242: connection reset by peer (ECONNRESET)")
        #expect(error.errno == SystemError(ECONNRESET))
        #expect(error.waitError == nil)
    }

    @Test func `an error of a wait names the wait's end`() {
        let error = NetError(.accept, .wait(.deadlinePassed), nil)
        #expect(error.description == "cannot accept connections: deadline passed")
        #expect(error.waitError == .deadlinePassed)
        #expect(error.errno == nil)
        #expect(!error.isPeerGone)
    }

    @Test(arguments: [
        ECONNRESET, EPIPE, ETIMEDOUT, ECONNABORTED, EHOSTUNREACH, ENETUNREACH, ENETDOWN, EHOSTDOWN,
    ])
    func `an error of a peer that is gone is recognized`(number: Int32) {
        #expect(NetError(.send, result: -Int(number), peer).isPeerGone)
    }

    @Test(arguments: [EBADF, EMFILE, ENOMEM, EINVAL, EACCES, ECONNREFUSED, EADDRINUSE])
    func `other errors are not taken for a peer that is gone`(number: Int32) {
        #expect(!NetError(.send, result: -Int(number), peer).isPeerGone)
    }
}
