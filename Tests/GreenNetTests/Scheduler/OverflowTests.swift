import Glibc
import TestSupport
import Testing

@testable import GreenNet

@Suite(
    .disabled(if: Sanitizer.active != .none, "a sanitizer reports faults itself, and ends the process in its own way"))
struct OverflowTests {
    @Test(arguments: [StackMemory.Guard.best.rawValue, StackMemory.Guard.mprotect.rawValue])
    func `a stack that overflows names its green thread, and the process dies by SIGSEGV`(kind: UInt32) async throws {
        let result = try await #require(processExitsWith: .signal(SIGSEGV), observing: [\.standardErrorContent]) {
            [kind] in
            dieQuietly()
            try TestThread {
                Hub.current.scheduler.fields.pointee.stacks.guardKind = try #require(StackMemory.Guard(rawValue: kind))
                spawn {}
                spawn(name: "deep") { descend(to: 0) }
                try Hub.current.run()
            }.value()
        }
        let text = result.standardError
        #expect(text.contains("GreenNet: green thread 3 (deep) overflowed its stack of 256 KiB"))
        let backtrace = text.split(separator: "\n").drop { !$0.contains("innermost first") }.dropFirst()
        #expect(backtrace.count { $0.contains("[0x") } >= 10)
    }

    @Test func `a green thread without a name is called by its id`() async throws {
        let result = try await #require(processExitsWith: .signal(SIGSEGV), observing: [\.standardErrorContent]) {
            dieQuietly()
            try TestThread {
                spawn { descend(to: 0) }
                try Hub.current.run()
            }.value()
        }
        #expect(result.standardError.contains("GreenNet: green thread 2 overflowed its stack of 256 KiB"))
    }

    @Test func `a fault of another kind is not taken for an overflow`() async throws {
        let result = try await #require(processExitsWith: .signal(SIGSEGV), observing: [\.standardErrorContent]) {
            dieQuietly()
            try TestThread {
                spawn {
                    let page = mmap(nil, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
                    page.storeBytes(of: 1, as: UInt8.self)
                }
                try Hub.current.run()
            }.value()
        }
        #expect(!result.standardError.contains("overflowed"))
    }

    @Test func `a signal sent by another process is not taken for an overflow`() async throws {
        let result = try await #require(processExitsWith: .signal(SIGSEGV), observing: [\.standardErrorContent]) {
            dieQuietly()
            try TestThread {
                spawn { kill(getpid(), SIGSEGV) }
                try Hub.current.run()
                try Greenlet.sleep(for: .seconds(20))
            }.value()
        }
        #expect(!result.standardError.contains("overflowed"))
    }

    @Test func `nearly all of a stack can be used`() throws {
        try onHub {
            let greenlet = spawn {
                let thread = Hub.currentThread
                descend(to: UInt(bitPattern: thread.stackLow) + 16 << 10)
            }
            try greenlet.join()
            #expect(greenlet.state == .finished)
        }
    }
}

/// Called in a child: it must leave no core file, and no backtrace of Swift's own, which takes long.
func dieQuietly() {
    var none = rlimit()
    setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
    signal(SIGSEGV, SIG_DFL)
}

/// Calls itself until the stack has grown down to `address`.
@inline(never)
@discardableResult
private func descend(to address: UInt) -> Int {
    withUnsafeTemporaryAllocation(byteCount: 200, alignment: 16) { memory in
        // A call that the optimizer cannot see through; without it, it would remove the recursion.
        let result = Glibc.read(-1, memory.baseAddress, 0)
        return UInt(bitPattern: memory.baseAddress) <= address ? result : descend(to: address) &+ result
    }
}
