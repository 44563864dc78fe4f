import Glibc
import Testing

@testable import GreenNet

struct ErrnoTests {
    @Test(arguments: [
        (ECONNRESET, "connection reset by peer (ECONNRESET)"), (EADDRINUSE, "address already in use (EADDRINUSE)"),
        (EIO, "input/output error (EIO)"), (4096, "errno 4096"),
        (-1, "errno -1"),
    ])
    func `an error number is told in words, with its name behind`(number: Int32, text: String) {
        #expect(Errno(number).description == text)
    }

    @Test func `the name alone can be had too`() {
        #expect(Errno(ECONNRESET).name == "ECONNRESET")
        #expect(Errno(4096).name == "errno 4096")
    }

    /// Error numbers of Linux, those that have no name among them.
    @Test func `each one that has a name has words`() {
        for number in Int32(1)...133 {
            #expect((Errno(number).words != nil) == !Errno(number).name.hasPrefix("errno "))
        }
    }
}
