import Glibc
import TestSupport
import Testing

@testable import GreenNet

// The OS threads that look up names must be gone after each test; `onHub` checks that.
struct ResolverTests {
    // MARK: Answers

    @Test(arguments: ["127.0.0.1", "255.255.255.255"])
    func `a numeric IPv4 address is not looked up`(host: String) throws {
        try onHub {
            let before = LibraryCall.lookUp.count
            let answer = try Resolver.resolve(host, port: 80)
            #expect(answer == [try #require(SocketAddress(ip: host, port: 80))])
            #expect(LibraryCall.lookUp.count == before)
        }
    }

    @Test(arguments: ["::1", "fe80::1%1"])
    func `a numeric IPv6 address is not looked up`(host: String) throws {
        try onHub {
            let before = LibraryCall.lookUp.count
            let answer = try Resolver.resolve(host, port: 80)
            #expect(answer == [try #require(SocketAddress(ip: host, port: 80))])
            #expect(LibraryCall.lookUp.count == before)
        }
    }

    @Test func `localhost has the loopback address, with the port that was asked for`() throws {
        try onHub {
            let addresses = try Resolver.resolve("localhost", port: 4242, until: .after(.seconds(5)))
            #expect(addresses.contains(loopback.with(port: 4242)))
            #expect(addresses.allSatisfy { $0.port == 4242 })
        }
    }

    @Test(arguments: ["localhost", "LocalHost.", "a.localhost", "a.b.LOCALHOST."])
    func `localhost, and names that end in it, are this machine and are not looked up`(host: String) throws {
        try onHub {
            let before = LibraryCall.lookUp.count
            let both = ["127.0.0.1", "::1"].map { SocketAddress(ip: $0, port: 7)! }
            try #expect(Resolver.resolve(host, port: 7) == both)
            try #expect(Resolver.resolveHere(host, port: 7) == both)
            #expect(LibraryCall.lookUp.count == before)
        }
    }

    @Test(arguments: ["localhost.example", "notlocalhost", "localhost..", ".", "", "localhost.localdomain"])
    func `a name that merely resembles localhost is not this machine`(host: String) {
        #expect(!Resolver.isLoopbackName(host))
    }

    @Test func `a name may have several addresses, which keep their order`() throws {
        try onHub {
            let addresses = try Resolver.resolve("127.0.0.3+127.0.0.1+127.0.0.2.gated", port: 7)
            #expect(addresses.map(\.description) == ["127.0.0.3:7", "127.0.0.1:7", "127.0.0.2:7"])
        }
    }

    /// The name is malformed, so that the look-up asks no server.
    @Test func `an unknown name is an error that says so`() throws {
        try onHub {
            let error = #expect(throws: ResolveError.self) {
                try Resolver.resolve("no..such..name", port: 1, until: .after(.seconds(5)))
            }
            #expect(error == ResolveError(host: "no..such..name", code: EAI_NONAME))
            #expect(error?.description == "cannot look up no..such..name: Name or service not known")
        }
    }

    @Test func `a name with a zero byte in it is refused`() throws {
        try onHub {
            for host in ["localhost\0", "localhost\0.example", "\0"] {
                #expect(throws: ResolveError(host: host, code: EAI_NONAME)) { try Resolver.resolve(host, port: 1) }
                #expect(throws: ResolveError(host: host, code: EAI_NONAME)) { try Resolver.resolveHere(host, port: 1) }
            }
            try Greenlet.yield()
        }
    }

    @Test func `a name can be looked up on the calling OS thread`() throws {
        try onOSThread {
            let addresses = try Resolver.resolveHere("127.0.0.3+127.0.0.1.gated", port: 7)
            #expect(addresses.map(\.description) == ["127.0.0.3:7", "127.0.0.1:7"])
            #expect(try Resolver.resolveHere("127.0.0.1", port: 7) == [loopback.with(port: 7)])
            #expect(Context.running == nil)
        }
    }

    // MARK: While it takes

    @Test func `the hub goes on while a name is looked up`() throws {
        try onHub {
            try LookupGate.closed { gate in
                let answer = spawn { try Resolver.resolve("127.0.0.1.gated", port: 1) }
                try waitUntil { gate.queue == 1 }
                for _ in 0..<10 { try Greenlet.sleep(for: .milliseconds(1)) }
                #expect(answer.state == .waiting)
                #expect(Hub.current.description.contains("waits for a name to be looked up"))
                gate.open()
                #expect(try answer.value() == [loopback.with(port: 1)])
            }
        }
    }

    @Test func `a hub that waits only for a look-up does not report a deadlock`() throws {
        try onHub {
            try LookupGate.closed { gate in
                let opener = TestThread { eventually { gate.queue == 1 } ? gate.open() : () }
                #expect(try Resolver.resolve("127.0.0.1.gated", port: 1) == [loopback.with(port: 1)])
                try opener.value()
            }
        }
    }

    @Test func `fifty names are looked up, no more than four at once`() throws {
        try onHub {
            try LookupGate.closed { gate in
                let answers = (1...50).map { number in
                    spawn { try Resolver.resolve("127.0.0.\(number).gated", port: 1) }
                }
                try waitUntil { gate.queue == Resolver.placeLimit }
                for _ in 0..<10 { try Greenlet.sleep(for: .milliseconds(2)) }
                #expect(gate.longestQueue == 4)
                gate.open()
                for (number, answer) in zip(1...50, answers) {
                    #expect(try answer.value().map(\.description) == ["127.0.0.\(number):1"])
                }
                #expect(gate.longestQueue == 4)
            }
        }
    }

    @Test func `a slow name does not keep a numeric address waiting`() throws {
        try onHub {
            try LookupGate.closed { gate in
                let slow = (1...10).map { number in spawn { try Resolver.resolve("127.0.0.\(number).gated", port: 1) } }
                try waitUntil { gate.queue == 4 }
                #expect(try Resolver.resolve("127.0.0.1", port: 1) == [loopback.with(port: 1)])
                gate.open()
                for answer in slow { _ = try answer.value() }
            }
        }
    }

    @Test func `two hubs ask at once, and each gets its own answers`() throws {
        let hubs = (1...2).map { hub in
            TestThread {
                try onHub {
                    for number in 1...20 {
                        let answer = try Resolver.resolve("127.0.\(hub).\(number).gated", port: 1)
                        #expect(answer.map(\.description) == ["127.0.\(hub).\(number):1"])
                    }
                }
            }
        }
        for hub in hubs { try hub.value() }
    }

    // MARK: Not waiting for the answer

    @Test func `a look-up throws at its deadline, not before, and its late answer disturbs no other`() throws {
        try onHub {
            try LookupGate.closed { gate in
                let deadline = Deadline.now + .milliseconds(30)
                #expect(throws: WaitError.deadlinePassed) {
                    try Resolver.resolve("127.0.0.1.gated", port: 1, until: deadline)
                }
                #expect(deadline.hasPassed)
                #expect(Deadline.now - deadline < slack)
                gate.open()
                let begin = Deadline.now
                try Greenlet.sleep(for: .milliseconds(50))
                #expect(Deadline.now - begin >= .milliseconds(50))
                #expect(try Resolver.resolve("127.0.0.2.gated", port: 2).map(\.description) == ["127.0.0.2:2"])
            }
        }
    }

    @Test func `a killed look-up throws cancelled, and its late answer disturbs no other`() throws {
        try onHub {
            try LookupGate.closed { gate in
                var error: (any Error)?
                let asker = spawn {
                    do { _ = try Resolver.resolve("127.0.0.1.gated", port: 1) } catch let caught { error = caught }
                }
                try waitUntil { gate.queue == 1 }
                asker.kill()
                try asker.join()
                #expect(error as? WaitError == .cancelled)
                gate.open()
                try waitUntil { gate.queue == 0 }
            }
        }
    }

    @Test func `a time limit around a look-up comes out as TimedOut`() throws {
        try onHub {
            LookupGate.closed { _ in
                #expect(throws: TimedOut.self) {
                    try withTimeout(.milliseconds(10)) { try Resolver.resolve("127.0.0.1.gated", port: 1) }
                }
            }
        }
    }

    @Test func `look-ups that were given up hold no place: the next one starts at once`() throws {
        try onHub {
            try LookupGate.closed { gate in
                // Look-ups are given up by a deadline, by a time limit, and by a kill.
                let late = (1...4).map { number in
                    spawn { try Resolver.resolve("127.0.0.\(number).gated", port: 1, until: .after(.milliseconds(20))) }
                }
                for one in late { #expect(throws: WaitError.deadlinePassed) { try one.value() } }
                #expect(gate.queue == 4)
                let killed = (5...8).map { number in spawn { try Resolver.resolve("127.0.0.\(number).gated", port: 1) }
                }
                try waitUntil { gate.queue == 8 }
                for one in killed { one.kill() }
                let next = spawn { try Resolver.resolve("127.0.0.9.gated", port: 9) }
                try waitUntil { gate.queue == 9 }
                #expect(try Resolver.resolve("localhost", port: 1).contains(loopback.with(port: 1)))
                gate.open()
                #expect(try next.value() == [SocketAddress(ip: "127.0.0.9", port: 9)!])
                try waitUntil { gate.queue == 0 }
            }
        }
    }

    @Test func `if all OS threads hang in look-ups that were given up, the next one fails at once`() throws {
        try onHub {
            try LookupGate.closed { gate in
                for count in stride(from: 4, through: Resolver.threadLimit, by: 4) {
                    let asked = (1...4).map { number in
                        spawn { try Resolver.resolve("127.0.1.\(number).gated", port: 1) }
                    }
                    try waitUntil { gate.queue == count }
                    try killAll(asked)
                }
                let error = #expect(throws: ResolveError.self) { try Resolver.resolve("127.0.0.1.gated", port: 1) }
                #expect(error?.code == EAI_AGAIN)
                #expect(
                    error?.description
                        == "cannot look up 127.0.0.1.gated: Temporary failure in name resolution: 32 look-ups that were given up still hang"
                )
                // Numeric addresses need no OS thread.
                #expect(try Resolver.resolve("::1", port: 1).count == 1)
                gate.open()
                try waitUntil { (try? Resolver.resolve("127.0.0.2.gated", port: 1)) != nil }
            }
        }
    }

    @Test func `a look-up on a hub with a virtual clock takes no time`() throws {
        try onVirtualHub {
            let begin = Deadline.now
            try #expect(Resolver.resolve("127.0.0.2.gated", port: 1, until: .after(.milliseconds(1))).count == 1)
            #expect(Deadline.now == begin)
        }
    }

    @Test func `an answer for a hub that has closed is dropped`() throws {
        try LookupGate.closed { gate in
            let asked = Handoff<Void>()
            let closer = TestThread {
                spawn { try Resolver.resolve("127.0.0.1.gated", port: 1) }
                try waitUntil { gate.queue == 1 }
                Hub.current.close()
                asked.give()
            }
            try closer.value()
            #expect(asked.take(within: .seconds(1)) != nil)
            gate.open()
            #expect(eventually { gate.queue == 0 })
        }
    }
}
