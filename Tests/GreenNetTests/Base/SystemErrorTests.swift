import Glibc
import Testing

@testable import GreenNet

struct SystemErrorTests {
    @Test(arguments: [
        (ECONNRESET, "connection reset by peer (ECONNRESET)"), (EADDRINUSE, "address already in use (EADDRINUSE)"),
        (EIO, "input/output error (EIO)"), (4096, "errno 4096"),
        (-1, "errno -1"),
    ])
    func `a system error is described in words, followed by its name`(number: Int32, text: String) {
        #expect(SystemError(number).description == text)
    }

    @Test func `the name can be read without the words`() {
        #expect(SystemError(ECONNRESET).name == "ECONNRESET")
        #expect(SystemError(4096).name == "errno 4096")
    }

    /// All error numbers of Linux, including the two without a name.
    @Test func `every error number that has a name has words`() {
        for number in Int32(1)...133 {
            #expect((SystemError(number).words != nil) == !SystemError(number).name.hasPrefix("errno "))
        }
    }
}
