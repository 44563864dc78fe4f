import Glibc
import GreenNet
import TestSupport
import Testing

/// Shows that the helpers on which the other tests rely can fail.
struct OnHubTests {
    @Test func `it returns what the body returns and throws what it throws`() throws {
        try #expect(onHub { try spawn { 1 }.value() } == 1)
        #expect(throws: Failure(2)) { try onHub { throw Failure(2) } }
    }

    @Test func `each body has an OS thread and a hub of its own`() throws {
        let caller = pthread_self()
        try onHub {
            #expect(pthread_self() != caller)
            #expect(Hub.current.description == "  green thread 1 (main): running")
        }
    }

    @Test func `an expectation in any green thread counts for the test`() throws {
        try expectIssue("1 == 2") {
            try onHub {
                spawn { #expect(1 == 2) }
                try Hub.current.run()
            }
        }
    }

    @Test func `a body that hangs is recorded, with the green threads of its hub`() throws {
        let goOn = Handoff<Void>()
        try expectIssue("green thread 2 (stuck): waits for") {
            #expect(throws: Stuck.self) {
                try onHub(.milliseconds(20)) {
                    let greenlet = spawn(name: "stuck") { try Greenlet.sleep(for: .seconds(60)) }
                    spawn {
                        while goOn.take(within: .zero) == nil { try Greenlet.sleep(for: .milliseconds(5)) }
                        greenlet.kill()
                    }
                    try greenlet.join()
                }
            }
        }
        goOn.give()
    }

    @Test func `what a body leaves behind is recorded`() throws {
        try expectIssue("green threads behind") {
            try onHub { _ = spawn { try Greenlet.sleep(for: .seconds(60)) } }
        }
        let descriptor = Handoff<Int32>()
        let goOn = Handoff<Void>()
        try expectIssue("descriptor") {
            try onHub {
                descriptor.give(dup(0))
                _ = TestThread { goOn.take() }
            }
        }
        goOn.give()
        close(try #require(descriptor.take()))
    }

    @Test func `an unobserved failure is recorded`() throws {
        try expectIssue("Failure(3)") {
            try onHub {
                spawn { throw Failure(3) }
                try Hub.current.run()
            }
        }
    }

    private func expectIssue(_ text: String, _ body: () throws -> Void) throws {
        try withKnownIssue {
            try body()
        } matching: { issue in
            String(describing: issue).contains(text)
        }
    }
}
