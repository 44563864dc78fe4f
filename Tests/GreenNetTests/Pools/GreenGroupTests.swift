import GreenNet
import TestSupport
import Testing

struct GreenGroupTests {
    @Test func `a group ends when all its members have, and returns the value of its body`() throws {
        try onHub {
            var ended = 0
            let value = try withGreenGroup { group in
                for number in 0..<10 {
                    group.spawn {
                        try Greenlet.sleep(for: .milliseconds(number))
                        group.spawn { ended += 1 }
                        ended += 1
                    }
                }
                #expect(group.count == 10)
                return 7
            }
            #expect(value == 7)
            #expect(ended == 20)
            try #expect(withGreenGroup { try $0.join() })
        }
    }

    @Test func `the first error ends the other members and the wait of the body, and is thrown`() throws {
        try onHub {
            var unwound = 0
            #expect(throws: Failure(1)) {
                try withGreenGroup { group in
                    for _ in 0..<3 {
                        group.spawn {
                            defer { unwound += 1 }
                            try Greenlet.sleep(until: .never)
                        }
                    }
                    group.spawn {
                        try Greenlet.sleep(for: .milliseconds(2))
                        throw Failure(1)
                    }
                    defer { unwound += 1 }
                    try Greenlet.sleep(until: .never)
                }
            }
            #expect(unwound == 4)
        }
    }

    @Test func `an error of the body ends all members, also those that have not begun`() throws {
        try onHub {
            #expect(throws: Failure(2)) {
                try withGreenGroup { group in
                    group.spawn { Issue.record("it began") }
                    throw Failure(2)
                }
            }
        }
    }

    @Test func `once a member has failed every wait of the body throws, whatever it catches`() throws {
        try onHub {
            #expect(throws: Failure(1)) {
                try withGreenGroup { group in
                    group.spawn { throw Failure(1) }
                    for _ in 0..<3 {
                        expectCancelled { try Greenlet.sleep(until: .never) }
                        expectCancelled { try Greenlet.yield() }
                    }
                    // A member that is spawned now is killed before it begins.
                    group.spawn { Issue.record("it began") }
                }
            }
            // No member runs after the group.
            try Greenlet.yield()
        }
    }

    @Test func `inside shielded, the end of the group takes effect afterwards`() throws {
        try onHub {
            #expect(throws: Failure(1)) {
                try withGreenGroup { group in
                    group.spawn { throw Failure(1) }
                    try shielded { try Greenlet.sleep(for: .milliseconds(2)) }
                    expectCancelled { try Greenlet.yield() }
                }
            }
        }
    }

    @Test func `a limit inside the body and one outside are told apart from the group's end`() throws {
        try onHub {
            #expect(throws: Failure(1)) {
                try withGreenGroup { group in
                    group.spawn { throw Failure(1) }
                    try withTimeout(.seconds(60)) { try Greenlet.sleep(until: .never) }
                }
            }
            let error = #expect(throws: TimedOut.self) {
                try withTimeout(.milliseconds(2)) {
                    try withGreenGroup { group in
                        group.spawn { try Greenlet.sleep(until: .never) }
                        _ = try withTimeout(.seconds(60)) { try group.join() }
                    }
                }
            }
            #expect(error?.limit.duration == .milliseconds(2))
            try withGreenGroup { group in
                let member = group.spawn {
                    do { try withTimeout(.zero) { try Greenlet.yield() } } catch is TimedOut { return true }
                    return false
                }
                try #expect(member.value())
                #expect(throws: TimedOut.self) { try withTimeout(.zero) { try Greenlet.yield() } }
            }
        }
    }

    @Test func `a group whose caller is killed ends with all its members`() throws {
        try onHub {
            var unwound = 0
            let caller = spawn {
                try withGreenGroup { group in
                    group.spawn {
                        defer { unwound += 1 }
                        // Unwinding takes a while, and the group waits for it.
                        defer { try? shielded { try Greenlet.sleep(for: .milliseconds(2)) } }
                        try Greenlet.sleep(until: .never)
                    }
                }
            }
            try Greenlet.yield()
            try Greenlet.yield()
            caller.kill()
            #expect(throws: GreenletExit()) { try caller.value() }
            #expect(unwound == 1)
        }
    }

    @Test func `a member that was killed is no failure`() throws {
        try onHub {
            try withGreenGroup { group in
                let killed = group.spawn { try Greenlet.sleep(until: .never) }
                let other = group.spawn { try Greenlet.sleep(for: .milliseconds(2)) }
                try Greenlet.yield()
                killed.kill()
                try other.value()
                group.spawn { try Greenlet.sleep(until: .never) }
                try #expect(!group.join(until: .now))
                group.kill()
            }
        }
    }

    @Test func `a second error is reported as an unobserved failure`() throws {
        try onHub {
            var reports: [String] = []
            Hub.current.onUnobservedFailure = { reports.append("\($0.name): \($0.error)") }
            #expect(throws: Failure(1)) {
                try withGreenGroup { group in
                    group.spawn { throw Failure(1) }
                    group.spawn(name: "second") {
                        do { try Greenlet.sleep(until: .never) } catch { throw Failure(2) }
                    }
                }
            }
            #expect(reports.count == 0 || reports == ["green thread 3 (second): Failure(2)"])
        }
    }

    @Test func `groups nest, and an error passes through all`() throws {
        try onHub {
            var inner = 0
            #expect(throws: Failure(1)) {
                try withGreenGroup { outer in
                    outer.spawn {
                        try withGreenGroup { group in
                            group.spawn {
                                defer { inner += 1 }
                                try Greenlet.sleep(until: .never)
                            }
                        }
                    }
                    try withGreenGroup { group in
                        group.spawn {
                            try Greenlet.sleep(for: .milliseconds(2))
                            throw Failure(1)
                        }
                    }
                }
            }
            #expect(inner == 1)
        }
    }

    @Test func `no member outlives the group even if all wait for ever`() throws {
        try onHub {
            #expect(throws: WaitError.self) {
                try withGreenGroup { group in _ = group.spawn { try GreenEvent().wait() } }
            }
        }
    }
}

/// A function, since the macro can't be nested.
private func expectCancelled(_ body: () throws -> Void) {
    #expect(throws: WaitError.cancelled) { try body() }
}
