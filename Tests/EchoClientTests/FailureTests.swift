import Glibc
import GreenNet
import Testing

@testable import EchoClient

struct FailureTests {
    private static let peer = SocketAddress(ip: "127.0.0.1", port: 8080)!

    @Test(arguments: [
        (Failure.missing(peer, received: 10, sent: 20, nil), "127.0.0.1:8080 ended the stream after 10 of 20 bytes"),
        (
            .missing(peer, received: 0, sent: 9, SystemError(ECONNRESET)),
            "127.0.0.1:8080 ended the stream after 0 of 9 bytes: connection reset by peer (ECONNRESET)"
        ),
        (.surplus(peer, received: 20, sent: 10), "127.0.0.1:8080 returned 20 bytes for 10"),
        (
            .noAnswer(peer, received: 0, sent: 9, after: .milliseconds(300)),
            "127.0.0.1:8080 did not answer within 0.3 seconds"
        ),
        (
            .noAnswer(peer, received: 3, sent: 9, after: .seconds(2)),
            "127.0.0.1:8080 answered 3 of 9 bytes, and no more within 2 seconds"
        ),
        (
            .notEnded(peer, received: 9, after: .seconds(2)),
            "127.0.0.1:8080 answered all 9 bytes, but did not end the stream within 2 seconds"
        ),
        (.output(SystemError(ENOSPC)), "cannot write to standard output: no space left on device (ENOSPC)"),
    ])
    func `a failure is reported in one line`(failure: Failure, text: String) {
        #expect("\(failure)" == text)
    }
}
