import TestSupport
import Testing

@testable import GreenNet

struct GatherTests {
    @Test func `values of several types come in the order of the list, and the bodies run at once`() throws {
        try onVirtualHub {
            let start = Deadline.now
            let (number, text, list) = try gather(
                {
                    try Greenlet.sleep(for: .seconds(3))
                    return 1
                },
                {
                    try Greenlet.sleep(for: .seconds(1))
                    return "two"
                },
                {
                    try Greenlet.sleep(for: .seconds(2))
                    return [3]
                })
            #expect(number == 1 && text == "two" && list == [3])
            #expect(.now - start < .seconds(3.1))
        }
    }

    @Test func `one body and none are lists, too, and gathers nest`() throws {
        try onVirtualHub {
            try #expect(gather { 7 } == 7)
            try gather()
            let ((a, b), c) = try gather({ try gather({ 1 }, { 2 }) }, { 3 })
            #expect([a, b, c] == [1, 2, 3])
        }
    }

    @Test func `the first error kills the others, and is thrown when they have unwound`() throws {
        try onVirtualHub {
            var unwound = 0
            func wait() throws -> Int {
                defer { unwound += 1 }
                defer { shielded { try? Greenlet.sleep(for: .seconds(1)) } }
                try Greenlet.sleep(for: .seconds(100))
                return 0
            }
            let start = Deadline.now
            #expect(throws: Failed()) {
                _ = try gather(
                    { try wait() },
                    { () throws -> String in
                        try Greenlet.sleep(for: .seconds(5))
                        throw Failed()
                    }, { try wait() })
            }
            #expect(unwound == 2)
            #expect(.now - start >= .seconds(6) && .now - start < .seconds(7))
        }
    }

    @Test func `a kill and a limit of the caller kill all bodies`() throws {
        try onVirtualHub {
            var killed = 0
            func wait() throws {
                defer { killed += 1 }
                try Greenlet.sleep(for: .seconds(100))
            }
            let caller = spawn { _ = try gather({ try wait() }, { try wait() }) }
            try Greenlet.sleep(for: .seconds(1))
            caller.kill()
            try caller.join()
            #expect(killed == 2 && caller.state == .killed)
            #expect(throws: TimedOut.self) {
                try withTimeout(.seconds(1)) { _ = try gather({ try wait() }, { try wait() }) }
            }
            #expect(killed == 4)
        }
    }
}

private struct Failed: Error, Equatable {}
