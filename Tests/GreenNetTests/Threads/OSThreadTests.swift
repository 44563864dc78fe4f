import Glibc
import TestSupport
import Testing

@testable import GreenNet

// `onOSThread` checks that no OS thread is left after any test.
struct OSThreadTests {
    /// The value of `look` on an OS thread that is started with these parameters.
    private func seen<Value: Sendable>(
        named name: String? = nil, stackSize: Int? = nil, blocksSignals: Bool = false,
        _ look: @escaping @Sendable () -> Value
    ) throws -> Value {
        let answer = Handoff<Value>()
        try OSThread.start(named: name, stackSize: stackSize, blocksSignals: blocksSignals) { answer.give(look()) }
        return try #require(answer.take())
    }

    @Test func `join waits for the end of the body, and returns at once the second time`() throws {
        try onOSThread {
            let (gate, end) = (Handoff<Void>(), Handoff<Void>())
            let thread = try OSThread.start {
                gate.take()
                end.give()
            }
            gate.give()
            thread.join()
            #expect(end.take(within: .zero) != nil)
            thread.join()
        }
    }

    @Test func `an OS thread has the name and the stack that it is given, and else its maker's and the system's`()
        throws
    {
        try onOSThread {
            let name: @Sendable () -> String? = { contents(of: "/proc/thread-self/comm") }
            try #expect(seen(named: "a long name, which is cut", name) == "a long name, wh\n")
            try #expect(seen(name) == name())
            // The C library may use one again that is up to four times as large.
            let small = OSThread.smallStack...4 * OSThread.smallStack
            try #expect(small.contains(seen(stackSize: OSThread.smallStack, ownStackSize)))
            try #expect(seen(ownStackSize) > small.upperBound)
        }
    }

    @Test func `signals of the process are for other OS threads, but not those of its own faults`() throws {
        try onOSThread {
            let signals = [SIGTERM, SIGINT, SIGSEGV, SIGABRT]
            // The parent of the test process may have blocked some signals.
            SystemCalls.unblock(signals)
            try #expect(seen { signals.map(isBlocked) } == [false, false, false, false])
            try #expect(seen(blocksSignals: true) { signals.map(isBlocked) } == [true, true, false, false])
            #expect(!isBlocked(SIGTERM))
        }
    }
}

private func contents(of path: String) -> String? { ProcessStatus.contents(of: path) }

private func isBlocked(_ signal: Int32) -> Bool {
    var mask = sigset_t()
    pthread_sigmask(SIG_BLOCK, nil, &mask)
    return sigismember(&mask, signal) == 1
}

/// The size in bytes of the mapping that holds a local variable.
@Sendable private func ownStackSize() -> Int {
    var local = 0
    let place = withUnsafeMutablePointer(to: &local) { UInt(bitPattern: $0) }
    let mappings = (contents(of: "/proc/self/maps") ?? "").split(separator: "\n").map { line in
        line.prefix { $0 != " " }.split(separator: "-").compactMap { UInt($0, radix: 16) }
    }
    return mappings.first { $0[0] <= place && place < $0[1] }.map { Int($0[1] - $0[0]) } ?? 0
}
