import Glibc
import TestSupport
import Testing

@testable import GreenNet

/// The sizes of stacks that a program asks for.
struct StackSizeTests {
    @Test func `a recursion that needs a megabyte returns on a stack of two`() throws {
        try onHub {
            let greenlet = spawn(stackSize: 2 << 20) { burrow(1 << 20) }
            try #expect(greenlet.value() >= 1 << 20)
        }
    }

    @Test(
        .disabled(
            if: Sanitizer.active != .none, "a sanitizer reports faults itself, and ends the process in its own way"),
        arguments: [256 << 10, 1 << 20])
    func `the same recursion overflows a smaller stack, and the report says how deep it was and what to write`(
        size: Int
    ) async throws {
        let result = try await #require(processExitsWith: .signal(SIGSEGV), observing: [\.standardErrorContent]) {
            [size] in
            dieQuietly()
            try TestThread {
                spawn(name: "deep", stackSize: size) { burrow(1 << 20) }
                try Hub.current.run()
            }.value()
        }
        let report = try #require(result.standardError.split(separator: "\n").first { $0.contains("overflowed") })
        #expect(report.contains("(deep) overflowed its stack of \(size >> 10) KiB, "))
        #expect(report.contains("spawn(stackSize:) or Hub.defaultStackSize makes it larger"))
        let numbers = report.split { !$0.isNumber }.compactMap { Int($0) }
        // The id, the size, the calls, the bytes.
        try #require(numbers.count == 4)
        #expect((size >> 10) / 4..<(size >> 10) * 10 ~= numbers[2])
        #expect((size >> 10) - 18...(size >> 10) ~= numbers[3])
    }

    @Test func `both ends of the range can be spawned`() throws {
        try onHub {
            for size in [65_536, 1 << 30] {
                let left = try spawn(stackSize: size) { Greenlet.stackLeft }.value()
                #expect(size - (20 << 10)...size - StackPool.guardSize ~= left)
            }
        }
    }

    @Test func `thousands of all sizes come and go, each with room for its size, and stacks are used again`() throws {
        try onHub {
            var random = SeededRandom(seed: 11)
            let count = Sanitizer.scaled(3000, address: 1000, thread: 500)
            let sizes = (0..<count).map { _ in 1 << Int.random(in: 16...24, using: &random) }
            func spawnAll() throws {
                for size in sizes {
                    spawn(stackSize: size) {
                        let left = Greenlet.stackLeft
                        #expect(size - (24 << 10)...size - StackPool.guardSize ~= left)
                        try Greenlet.yield()
                        burrow(8 << 10)
                        try Greenlet.yield()
                        #expect(Hub.currentThread.stackClass.bytes == size)
                    }
                }
                try Hub.current.run()
            }
            try spawnAll()
            let cached = Hub.current.statistics.cachedStacks
            #expect(cached == count)
            try spawnAll()
            #expect(Hub.current.statistics.cachedStacks == cached)
            #expect(Hub.current.statistics.greenThreads == 0)
        }
    }

    @Test func `a delayed spawn, groups, pools, fibers and generators take a size`() throws {
        try onHub {
            let size = 1 << 20
            try #expect(spawn(after: .zero, stackSize: size) { here() }.value() == size)
            try withGreenGroup { group in
                try #expect(group.spawn(stackSize: size) { here() }.value() == size)
                try #expect(group.spawn { here() }.value() == 256 << 10)
            }
            let fiber = Fiber<Int>(stackSize: size) { _ in here() }
            try #expect(fiber.switchTo(0) == size)
            let generator = Generator<Int, Void>(stackSize: size) { try $0.yield(here()) }
            try #expect(generator.next() == size)
            let returning = ReturningGenerator<Int, Void, Int>(stackSize: size) { _ in here() }
            try #expect(returning.next() == nil && returning.returned == size)
        }
    }

    @Test func `a pool's size is that of all its members, but for those with a size of their own`() throws {
        try onHub {
            let pool = GreenPool(limit: 2, stackSize: 1_000_000)
            #expect(pool.stackSize == 1_000_000)
            try #expect(pool.spawn { here() }.value() == 1 << 20)
            try #expect(pool.spawn(stackSize: 65_536) { here() }.value() == 65_536)
            try #expect(pool.map(0..<3) { _ in here() } == [1 << 20, 1 << 20, 1 << 20])
            let iterated = pool.iterate(0..<1) { _ in here() }
            try #expect(iterated.next()?.get() == 1 << 20)
            try #expect(GreenPool(limit: 1).spawn { here() }.value() == 256 << 10)
        }
    }

    @Test func `a server's size is that of its connections`() throws {
        try onHub {
            var sizes: [Int] = []
            let server = try StreamServer(on: .loopback(port: 0), stackSize: 1 << 20) { _ in
                sizes.append(Hub.currentThread.stackClass.bytes)
            }
            server.start()
            let client = try Connection.connect(to: server.listeners[0].address)
            try #expect(client.receive() == nil)
            try server.drain(until: .never)
            #expect(sizes == [1 << 20])
        }
    }

    @Test func `the default counts for every hub and all that is spawned from then on without a size`() async throws {
        try await #require(processExitsWith: .success) {
            #expect(Hub.defaultStackSize == 262_144)
            try TestThread {
                try expectDefault(262_144)
                Hub.defaultStackSize = 600_000
                #expect(Hub.defaultStackSize == 1 << 20)
                try expectDefault(1 << 20)
                #expect(Hub.current.scheduler.loopThread.stackClass == .standard)
                try TestThread {
                    try expectDefault(1 << 20)
                    #expect(Hub.current.scheduler.loopThread.stackClass.bytes == 1 << 20)
                }.value()
                for size in [65_536, 1 << 30] {
                    Hub.defaultStackSize = size
                    #expect(Hub.defaultStackSize == size)
                    try expectDefault(size)
                }
            }.value()
        }
    }

    @Test(.disabled(if: Sanitizer.active != .none, "a sanitizer needs more address space than there is"))
    func `without address space for a large stack a green thread fails, and smaller ones go on`() async throws {
        try await #require(processExitsWith: .success) {
            try TestThread {
                _ = Hub.current
                try limitAddressSpace(toMore: 256 << 20)
                let large = spawn(stackSize: 1 << 30) {}
                #expect(throws: SpawnError(errno: SystemError(ENOMEM))) { try large.value() }
                try #expect(spawn(stackSize: 1 << 20) { 7 }.value() == 7)
                try #expect(spawn { 8 }.value() == 8)
            }.value()
        }
    }
}

/// The size of the stack that the calling green thread has.
private func here() -> Int { Hub.currentThread.stackClass.bytes }

private func expectDefault(_ size: Int) throws {
    try #expect(spawn { here() }.value() == size)
    try #expect(spawn(stackSize: 65_536) { here() }.value() == 65_536)
    try #expect(GreenPool(limit: 1).spawn { here() }.value() == size)
    try #expect(Generator<Int, Void> { try $0.yield(here()) }.next() == size)
}

/// A recursion that the optimizer makes no loop of: each level has a step to do after the next one.
@inline(never)
private func descend(_ levels: Int, _ lefts: inout [Int]) -> Int {
    lefts.append(Greenlet.stackLeft)
    return levels == 0 ? 1 : (descend(levels - 1, &lefts) &* 3) ^ levels
}

/// `Greenlet.stackLeft`.
struct StackLeftTests {
    @Test func `what is left shrinks by what a recursion takes, and is back after it`() throws {
        try onHub {
            let lefts = try spawn {
                var lefts: [Int] = []
                lefts.reserveCapacity(100)
                _ = descend(50, &lefts)
                lefts.append(Greenlet.stackLeft)
                return lefts
            }.value()
            for (outer, inner) in zip(lefts.dropLast(), lefts.dropLast().dropFirst()) {
                #expect(16..<2048 ~= outer - inner)
            }
            #expect(abs(lefts.last! - lefts.first!) < 2048)
        }
    }

    @Test func `it counts down to the guard`() throws {
        try onHub {
            let (left, distance) = try spawn {
                withUnsafeTemporaryAllocation(byteCount: 16, alignment: 16) { memory in
                    (Greenlet.stackLeft, memory.baseAddress! - Hub.currentThread.stackLow)
                }
            }.value()
            // AddressSanitizer may keep the variable elsewhere.
            if Sanitizer.active != .address { #expect(0..<4096 ~= distance - left) }
        }
    }

    @Test func `a recursion that looks at it throws in time, on a stack of any size`() throws {
        try onHub {
            for size in [65_536, 256 << 10, 4 << 20] {
                let greenlet = spawn(stackSize: size) { try parse(0, leaving: 32 << 10) }
                #expect(throws: TooDeep.self) { try greenlet.value() }
            }
        }
    }

    @Test func `the main green thread has what its OS thread has`() throws {
        let lefts = Handoff<[Int]>()
        let thread = try OSThread.start(stackSize: 1 << 20) {
            let first = Greenlet.stackLeft
            let other = try? spawn { Greenlet.stackLeft }.value()
            lefts.give([first, other ?? 0, Greenlet.stackLeft])
        }
        thread.join()
        let (first, other, again) = try #require(lefts.take(within: .zero).map { ($0[0], $0[1], $0[2]) })
        #expect((1 << 20) - (64 << 10)..<1 << 20 ~= first)
        #expect((200 << 10)..<256 << 10 ~= other)
        // On the second read, and after another stack has run, the same.
        #expect(abs(again - first) < 1024)
    }

    @Test func `the first OS thread has what its limit lets it have`() throws {
        var program = try Program.built("StackDepth", ["left"])
        program.environment["SWIFT_BACKTRACE"] = "enable=no"
        let output = try Program.run(program).output
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_STACK.rawValue), &limit)
        let first = output.prefix { $0 != "\n" }
        let left = try #require(Int(first.filter(\.isNumber)))
        #expect(left > 1 << 20)
        if limit.rlim_cur != .max { #expect(left <= Int(limit.rlim_cur)) }
    }

    @Test func `fibers and callbacks have their own`() throws {
        try onHub {
            let fiber = Fiber<Int>(stackSize: 1 << 20) { _ in Greenlet.stackLeft }
            try #expect(fiber.switchTo(0) > 900_000)
            var inCallback = 0
            Hub.current.onSpawn = { _ in inCallback = Greenlet.stackLeft }
            let outer = try spawn(stackSize: 4 << 20) {
                spawn {}
                return inCallback
            }.value()
            // `onSpawn` runs on the stack of the green thread that spawns, a job on the hub's own.
            #expect(outer > 4_000_000)
            Hub.current.onSpawn = nil
            let onLoop = RemoteResult<Int>()
            _ = Hub.current.remote.callInHub { onLoop.set(Greenlet.stackLeft) }
            try #expect((200 << 10)..<256 << 10 ~= onLoop.value())
        }
    }
}

private struct TooDeep: Error {}

@inline(never)
private func parse(_ level: Int, leaving reserve: Int) throws -> Int {
    if Greenlet.stackLeft < reserve { throw TooDeep() }
    return try parse(level + 1, leaving: reserve) + 1
}

/// Calls itself until `bytes` of the stack are in use below the caller's frame.  Returns how many are.
@inline(never)
@discardableResult
func burrow(_ bytes: Int) -> Int { burrow(bytes, below: UInt(bitPattern: Context.stackPointer)) }

@inline(never)
private func burrow(_ bytes: Int, below top: UInt) -> Int {
    withUnsafeTemporaryAllocation(byteCount: 200, alignment: 16) { memory in
        // A call that the optimizer cannot see through; without it, it would remove the recursion.
        let nothing = Glibc.read(-1, memory.baseAddress, 0)
        let used = Int(top - UInt(bitPattern: Context.stackPointer))
        return used >= bytes ? used : max(burrow(bytes, below: top), nothing)
    }
}
