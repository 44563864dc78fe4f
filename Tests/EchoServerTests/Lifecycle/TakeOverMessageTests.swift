import GreenNet
import Testing

@testable import EchoServer

@Suite struct TakeOverMessageTests {
    @Test(arguments: [
        TakeOverMessage.ask(version: 1), .listeners(service: 2, admin: 0), .listeners(service: 253, admin: 253),
        .serving, .draining, .error("a reason"), .error(""),
    ])
    func `each message is read as it was written`(message: TakeOverMessage) {
        #expect(TakeOverMessage(message.line) == (message == .error("") ? .error("") : message))
    }

    @Test(arguments: [
        "", "hello", "echo-server-take-over", "echo-server-take-over one", "listeners", "listeners 1",
        "listeners -1 2", "listeners 254 0", "listeners 1 2 3",
    ])
    func `another line is no message`(line: String) { #expect(TakeOverMessage(line) == nil) }
}
