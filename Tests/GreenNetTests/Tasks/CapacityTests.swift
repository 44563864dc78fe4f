import Glibc
import TestSupport
import Testing

@testable import GreenNet

/// Many green threads, and what happens when there can't be more.
struct CapacityTests {
    @Test func `a hundred thousand sleep at once`() throws {
        try onHub(.seconds(60)) {
            let count = Sanitizer.scaled(100_000, address: 5000, thread: 2000)
            var asleep = 0
            for _ in 0..<count {
                spawn {
                    asleep += 1
                    defer { asleep -= 1 }
                    try Greenlet.sleep(until: .never)
                }
            }
            try Greenlet.yield()
            #expect(asleep == count)
            for greenlet in Hub.current.scheduler.living { greenlet.kill() }
            try Hub.current.run()
            #expect(asleep == 0)
            #expect(Hub.current.scheduler.fields.pointee.stacks.cached == count)
        }
    }

    @Test func `a hundred thousand with timers wake on time`() throws {
        try onHub(.seconds(60)) {
            let count = Sanitizer.scaled(100_000, address: 5000, thread: 2000)
            var (ends, early) = (0, 0)
            let due = Deadline.after(.milliseconds(300) * Sanitizer.slowness)
            for _ in 0..<count {
                spawn {
                    try Greenlet.sleep(until: due)
                    ends += 1
                    if !due.hasPassed { early += 1 }
                }
            }
            try Hub.current.run()
            #expect(ends == count)
            #expect(early == 0)
        }
    }

    @Test func `each green thread spawns the next and waits for it, ten thousand deep`() throws {
        try onHub(.seconds(60)) {
            func depth(_ left: Int) throws -> Int {
                left == 0 ? 0 : try spawn { try depth(left - 1) }.value() + 1
            }
            let count = Sanitizer.scaled(10_000, address: 2000, thread: 2000)
            try #expect(depth(count) == count)
        }
    }

    @Test func `a hundred thousand green threads one after the other leave no memory behind`() throws {
        try onHub(.seconds(60)) {
            let count = Sanitizer.scaled(50_000, address: 5000, thread: 5000)
            // Each round has two green threads: one has a name, and a timer that has not fired when it ends.
            func spawnAndJoin(_ count: Int) throws {
                for number in 0..<count {
                    try spawn(name: "\(number)") { try spawn {}.join(until: .after(.seconds(600))) }.join()
                }
            }
            try spawnAndJoin(1000)
            let before = try residentBytes()
            try spawnAndJoin(count)
            let growth = try residentBytes() - before
            // 80 bytes each time would be 4 MB.  A sanitizer keeps what was freed for a while.
            if Sanitizer.active == .none { #expect(growth < 2 << 20) }
            #expect(Hub.current.scheduler.fields.pointee.stacks.cached <= 3)
        }
    }

    /// In a process of its own, since others' memory counts else.  That of the heap is the allocator's to give back.
    @Test(.disabled(if: Sanitizer.active != .none, "a sanitizer keeps what was freed"))
    func `soon after a hundred thousand have come and gone, their memory is back`() async throws {
        try await #require(processExitsWith: .success) {
            try TestThread {
                // What is made once is there before.
                try comeAndGo(2000)
                try Greenlet.sleep(for: .seconds(1))
                try giveFreeHeapBack()
                let before = try (anonymousBytes(), pageTableBytes())
                try comeAndGo(100_000)
                let isBack = try eventually(within: .seconds(5)) {
                    try Greenlet.sleep(for: .milliseconds(50))
                    try giveFreeHeapBack()
                    return try anonymousBytes() - before.0 < 2 << 20 && pageTableBytes() - before.1 < 1 << 20
                }
                let (anonymous, tables) = try (anonymousBytes() - before.0, pageTableBytes() - before.1)
                #expect(isBack, "\(anonymous) bytes, page tables of \(tables)")
            }.value()
        }
    }

    // MARK: No more

    @Test(.disabled(if: Sanitizer.active != .none, "a sanitizer needs more address space than there is"))
    func `without address space for a stack a green thread fails at once, and the program goes on`() async throws {
        try await #require(processExitsWith: .success) {
            try TestThread {
                _ = Hub.current
                try TaskThreads.with(1) { tasks in
                    try limitAddressSpace(toMore: 256 << 20)
                    try runOutOfStacks(atMost: 2000, tasks)
                }
            }.value()
        }
    }

    @Test(
        .disabled(if: Sanitizer.active != .none, "a sanitizer needs mappings of its own"),
        .enabled(if: (mappingLimit ?? .max) <= 70_000, "vm.max_map_count is too high to be reached here"))
    func `without a mapping for a guard a green thread fails at once, and the program goes on`() async throws {
        try await #require(processExitsWith: .success) {
            try TestThread {
                Hub.current.scheduler.fields.pointee.stacks.guardKind = .mprotect
                try TaskThreads.with(1) { tasks in try runOutOfStacks(atMost: 70_000, tasks) }
            }.value()
        }
    }
}

/// Green threads that are parked at once, and woken.
private func comeAndGo(_ count: Int) throws {
    let opening = GreenEvent()
    for _ in 0..<count { spawn { try opening.wait() } }
    try Greenlet.yield()
    opening.set()
    try Hub.current.run()
}

/// Runs in a child.
private func runOutOfStacks(atMost limit: Int, _ tasks: TaskThreads) throws {
    var reports = 0
    Hub.current.onUnobservedFailure = { _ in reports += 1 }
    func spawnParked() -> Greenlet<Void> { spawn { try Greenlet.sleep(until: .never) } }
    var parked: [Greenlet<Void>] = []
    while parked.last?.hasEnded != true, parked.count < limit { parked.append(spawnParked()) }

    let failed = parked.removeLast()
    #expect(failed.state == .failed)
    let error = #expect(throws: SpawnError.self) { try failed.value() }
    #expect(error?.errno == SystemError(ENOMEM))
    #expect(error?.description == "cannot make a stack for a green thread: cannot allocate memory (ENOMEM)")
    try failed.join()
    failed.kill()

    // If it is not observed, it is reported as other failures are.
    _ = spawnParked()
    #expect(reports == 1)
    // A result for another OS thread throws the same error.
    #expect(throws: SpawnError.self) { try Hub.current.remote.result { 1 }.value() }
    let remote = Hub.current.remote
    #expect(throws: SpawnError.self) { try tasks.start { try await remote.run { 1 } }.value() }
    #expect(reports == 1)

    // The other green threads still wait, and their stacks can be used again.
    try Greenlet.yield()
    #expect(Set(parked.map(\.state)) == [.waiting])
    for greenlet in parked.suffix(10) { greenlet.kill() }
    for greenlet in parked.suffix(10) { try greenlet.join() }
    try #expect(spawn { 5 }.value() == 5)
    #expect(!spawnParked().hasEnded)
    #expect(reports == 1)
    Hub.current.close()
}

func limitAddressSpace(toMore bytes: Int) throws {
    var limit = rlimit()
    limit.rlim_cur = try rlim_t(addressSpaceBytes() + bytes)
    limit.rlim_max = limit.rlim_cur
    setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
}

private var mappingLimit: Int? {
    guard let file = fopen("/proc/sys/vm/max_map_count", "re") else { return nil }
    defer { fclose(file) }
    var limit = 0
    return withUnsafeMutablePointer(to: &limit) { limit in
        withVaList([limit]) { vfscanf(file, "%ld", $0) } == 1 ? limit.pointee : nil
    }
}
