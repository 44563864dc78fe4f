import Glibc
import ProgramKit
import Testing

@testable import EchoServer
@testable import GreenNet

@Suite struct StartFailureTests {
    private let address = SocketAddress(ip: "127.0.0.1", port: 80)!

    private func failure(_ code: Int32) -> StartFailure { StartFailure(NetError(.bind, result: -Int(code), address)) }

    private static let statuses: [(code: Int32, status: Int32)] = [
        (EADDRINUSE, 69), (EACCES, 77), (EPERM, 77), (EADDRNOTAVAIL, 69), (ENAMETOOLONG, 78), (ENOENT, 78),
        (ENOTDIR, 78), (EAFNOSUPPORT, 78), (EISDIR, 78), (ENOTSOCK, 78), (EROFS, 78), (ELOOP, 78), (EINVAL, 78),
        (EMFILE, 71),
        (ENOMEM, 71), (ENOBUFS, 71),
        (EIO, 71),
    ]

    @Test(arguments: statuses)
    func `the errno of a refusal decides the exit status`(code: Int32, status: Int32) {
        #expect(failure(code).status.rawValue == status)
    }

    @Test func `a wait that was ended is a fault of the system`() {
        #expect(StartFailure(NetError(.bind, .wait(.cancelled), address)).status == .system)
    }

    @Test func `the message names call, address and error`() {
        #expect(failure(EADDRINUSE).message == "cannot bind 127.0.0.1:80: address already in use (EADDRINUSE)")
    }

    @Test func `the exit statuses are those of sysexits`() {
        typealias ExitStatus = ProgramKit.ExitStatus
        #expect(ExitStatus.usage.rawValue == 64)
        #expect(ExitStatus.unavailable.rawValue == 69)
        #expect(ExitStatus.system.rawValue == 71)
        #expect(ExitStatus.permission.rawValue == 77)
        #expect(ExitStatus.configuration.rawValue == 78)
    }
}
