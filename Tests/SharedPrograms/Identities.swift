import Glibc
import GreenNet

/// Who lives, and who can ring.
let identityPrograms = [
    SharedProgram("exec-with-lock") { _ in try executeWithLock() },
    SharedProgram("time-namespace") { _ in try joinFromTimeNamespace() },
    SharedProgram("rings-without-descriptors") { _ in try ringWithoutDescriptors() },
    SharedProgram("unsent-rings") { _ in try ringAgain() },
]

// MARK: - Who lives

/// A process that becomes another program has none of the memory, and holds nothing.
private func executeWithLock() throws {
    let (lock, semaphore) = (try SharedLock(), try SharedSemaphore(1))
    let holder = fork {
        try semaphore.acquire()
        try lock.withLock { _ in
            var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("100"), nil]
            execvp("sleep", &arguments)
            fail("exec: errno \(errno)")
        }
    }
    wait("the holder is another program") { readFile("/proc/\(holder)/comm") == "sleep\n" }
    check(lock.holder == holder, "held by \(String(describing: lock.holder))")
    check(try lock.withLock(until: .after(.seconds(10))) { $0 } == .died(holder), "its end was not told")
    check(try semaphore.acquire(until: .after(.seconds(10))), "the permit is lost")
    kill(holder, SIGKILL)
    collect(holder)
}

/// In another time namespace, the kernel shows other times of start.
private func joinFromTimeNamespace() throws {
    let lock = try SharedLock()
    let namespace = ["--time", "--boottime", "100000", "--monotonic", "100000", "--fork", try ownPath(), "joined"]
    try lock.withLock { _ in try run("unshare", namespace + ["held-lock"], lock.descriptor) }
    let inside = spawn { try run("unshare", namespace + ["lock-for-a-while"], lock.descriptor) }
    wait("it is held inside") { lock.holder != nil }
    expectHeld(lock)
    try inside.value()
}

/// Its holder lives, and has it for longer.
func expectHeld(_ lock: SharedLock) {
    do {
        let end = try lock.withLock(until: .after(.seconds(1))) { $0 }
        fail("the lock of a living process was taken: \(end)")
    } catch {
        check(error == .deadlinePassed, "\(error)")
    }
}

// MARK: - Who can ring

/// Has a child call `ring`, which is to wake a process whose looks are a second apart by now, so that only a ring wakes it soon.  The child is forked with at most
/// `descriptors`.
private func wakeDeepSleeper(descriptors: UInt, _ ring: @escaping (SharedQueue<Int>) throws -> Void) throws {
    let queue = try SharedQueue<Int>(limit: 8)
    // Each time, a look may have come by chance.
    for _ in 0..<3 {
        let woken = try SharedCounters(count: 1)
        let sleeper = fork {
            _ = try queue.take()
            woken.add(to: 0)
        }
        try Greenlet.sleep(for: .milliseconds(1400))
        limitDescriptors(to: descriptors)
        let ringer = fork {
            try ring(queue)
            let begin = Deadline.now
            while woken[0] == 0 {
                check(.now - begin < .milliseconds(100), "the ring was not heard")
                usleep(1000)
            }
        }
        limitDescriptors(to: 1024)
        expectSuccess([ringer, sleeper])
        while queue.tryTake() != nil {}
    }
}

private func limitDescriptors(to count: UInt) {
    var limit = rlimit(rlim_cur: rlim_t(count), rlim_max: 1024)
    check(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, "setrlimit")
}

/// A process takes the descriptor that it rings with while there is one.
private func ringWithoutDescriptors() throws {
    try wakeDeepSleeper(descriptors: 1024) { queue in
        limitDescriptors(to: 0)
        try queue.put(1)
        limitDescriptors(to: 1024)
    }
}

/// A ring that could not be sent does not count: the next one is for the same wait.
private func ringAgain() throws {
    try wakeDeepSleeper(descriptors: 0) { queue in
        try queue.put(1)
        limitDescriptors(to: 1024)
        try queue.put(2)
    }
}
