import Glibc
import Testing

@testable import EchoServer
@testable import GreenNet

@Suite struct ListenAddressTests {
    private static let (eaiNoData, eaiAddressFamily): (Int32, Int32) = (-5, -9)
    private static let statuses: [(code: Int32, status: Int32)] = [
        (EAI_AGAIN, 69), (eaiNoData, 69), (eaiAddressFamily, 69), (EAI_NONAME, 78), (EAI_FAIL, 78), (EAI_MEMORY, 71),
        (EAI_SYSTEM, 71),
    ]

    @Test(arguments: statuses)
    func `a name that may be found in a moment has the status that is tried again, one that does not exist has not`(
        code: Int32, status: Int32
    ) {
        let failure = StartFailure(ResolveError(host: "vip.example", code: code))
        #expect(failure.status.rawValue == status)
        #expect(failure.message.hasPrefix("cannot look up vip.example: "))
    }

    @Test func `an interface that is not there may come, and the status is tried again`() {
        let failure = #expect(throws: StartFailure.self) {
            try Endpoint.host("fe80::1%no-such0", port: 80).listenAddress()
        }
        #expect(failure?.status == .unavailable)
        #expect(failure?.message.contains("no-such0") == true)
    }

    @Test func `an address and a path need no look-up`() throws {
        #expect(try Endpoint.host("::1", port: 80).listenAddress() == SocketAddress(ip: "::1", port: 80))
        #expect(try Endpoint.unix(path: "/run/x").listenAddress() == .unix(path: "/run/x"))
    }
}
