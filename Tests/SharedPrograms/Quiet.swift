import Glibc
import GreenNet

/// What costs nothing.
let quietPrograms = [
    SharedProgram("no-system-calls") { _ in try makeNoSystemCalls() },
    SharedProgram("idle") { _ in try waitIdle() },
    SharedProgram("one-is-woken") { _ in try wakeOne() },
]

/// In seccomp's strict mode the kernel kills a process at any system call but read, write and exit.
private func makeNoSystemCalls() throws {
    let (value, array, counters) = (try SharedValue(0), try SharedArray<Int>(count: 2), try SharedCounters(count: 2))
    let (lock, semaphore, event) = (try SharedLock(), try SharedSemaphore(2), try SharedEvent())
    let (queue, frames) = (try SharedQueue<Int>(limit: 2), try SharedQueue<[UInt8]>(limit: 2, longest: 64))
    for isOnHub in [false, true] {
        counters.set(0, to: 0)
        let child = fork {
            if isOnHub { _ = Hub.current }
            func useAll() throws {
                value.add(1)
                array[1] += 1
                try lock.withLock { _ in }
                try semaphore.withPermit {}
                event.set()
                try event.wait()
                event.clear()
                try queue.put(1)
                _ = try queue.take()
                queue.taskDone()
                try queue.joinTasks()
                try frames.put([1, 2, 3])
                _ = try frames.take()
                frames.taskDone()
                counters.add(to: 0)
            }
            for _ in 0..<100 { try useAll() }
            counters.set(0, to: 0)
            enterStrictMode()
            for _ in 0..<1000 { try useAll() }
        }
        // It can't end without a system call.
        check(end(of: child) == .signal(SIGKILL), "the kernel has not refused its end")
        check(counters[0] == 1000, "a system call in round \(counters[0])")
    }
}

private func enterStrictMode() {
    typealias Control = @convention(c) (Int32, UInt, UInt, UInt, UInt) -> Int32
    let control = unsafeBitCast(dlsym(nil, "prctl"), to: Control.self)
    // PR_SET_SECCOMP, SECCOMP_MODE_STRICT
    check(control(22, 1, 0, 0, 0) == 0, "no strict mode: errno \(errno)")
}

/// How often the process has given up the processor by itself.
private func switches(_ pid: pid_t) -> Int {
    let lines = readFile("/proc/\(pid)/status").split(separator: "\n")
    let line = lines.first { $0.hasPrefix("voluntary_ctxt_switches") } ?? ""
    return Int(line.filter(\.isNumber)) ?? -1
}

/// A process that waits sleeps: it looks for the dead after 10 ms, 20 ms and so on, and each second.
private func waitIdle() throws {
    let (queue, counters) = (try SharedQueue<Int>(limit: 1), try SharedCounters(count: 1))
    let children = [true, false].map { isOnHub in
        fork {
            if isOnHub { _ = Hub.current }
            counters.add(to: 0)
            _ = try queue.take()
        }
    }
    wait("both have begun") { counters[0] == 2 }
    try Greenlet.sleep(for: .milliseconds(20))
    let before = children.map { switches($0) }
    try Greenlet.sleep(for: .seconds(3))
    for (child, count) in zip(children, before) {
        let more = switches(child) - count
        check(more <= 15, "\(more) wake-ups within 3 s")
    }
    for number in 0..<2 { try queue.put(number) }
    expectSuccess(children)
}

/// One element wakes one process, and no more.
private func wakeOne() throws {
    let (queue, counters) = (try SharedQueue<Int>(limit: 8), try SharedCounters(count: 1))
    let children = (0..<8).map { number in
        fork {
            if number % 2 == 0 { _ = Hub.current }
            counters.add(to: 0)
            _ = try queue.take()
            while counters[0] < 100 { usleep(1000) }
        }
    }
    wait("all have begun") { counters[0] == 8 }
    // The looks are a second apart by then.
    try Greenlet.sleep(for: .milliseconds(1400))
    let before = children.map { switches($0) }
    try queue.put(1)
    try Greenlet.sleep(for: .milliseconds(100))
    let woken = zip(children, before).filter { switches($0) - $1 > 0 }.count
    // Another may have had its look in that tenth of a second.
    check(woken >= 1 && woken <= 3, "\(woken) of 8 were woken for one element")
    for number in 0..<7 { try queue.put(number) }
    wait("all is taken") { queue.isEmpty }
    counters.set(0, to: 100)
    expectSuccess(children)
}
