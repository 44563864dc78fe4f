import Glibc
import Synchronization
import TestSupport
import Testing

@testable import GreenNet

struct BlockedHubTests {
    @Test func `a green thread that doesn't give way is reported once each time, with its backtrace`() throws {
        try onHub {
            let reports = Reports()
            try Hub.current.watch(longerThan: .milliseconds(20)) { reports.append($0) }
            for round in 1...4 {
                let culprit = spawn(name: "culprit \(round)") {
                    spinUntil { reports.all(of: "culprit").count >= round }
                }
                try culprit.value()
                // The culprit goes on and blocks again, which is another report.
                try Greenlet.sleep(for: .milliseconds(1))
            }
            Hub.current.stopWatching()
            #expect(reports.all(of: "culprit").count == 4)
            let first = try #require(reports.all(of: "culprit").first)
            #expect(first.greenThread == "green thread 2 (culprit 1)")
            #expect(first.duration >= .milliseconds(20))
            // The culprit may be in a function without frame pointers: at the beginning of one of the library's, or in ThreadSanitizer's own.
            let backtraces = reports.all(of: "culprit").map(\.backtrace)
            #expect(
                Sanitizer.active == .thread || backtraces.joined().contains { $0.contains("spinUntil") },
                "\(backtraces)")
            #expect(first.description.hasPrefix("green thread 2 (culprit 1) has not given way for "))
        }
    }

    @Test func `the main green thread is reported too, and a call that blocks`() throws {
        try onHub {
            let reports = Reports()
            try Hub.current.watch(longerThan: .milliseconds(10)) { reports.append($0) }
            try Greenlet.yield()
            // This is no wait of a green thread: the whole OS thread sleeps.
            while reports.all.isEmpty { poll(nil, 0, 100) }
            #expect(reports.all.first?.greenThread == "green thread 1 (main)")
        }
    }

    /// As in a server that was started as root and serves as another user: the kernel doesn't let it read its own /proc files.
    @Test func `in a process that has given up its rights, computing and blocking are reported too`()
        throws
    {
        try onHub {
            let rights = try Rights()
            rights.giveUp()
            defer { rights.takeBack() }
            #expect(open("/proc/self/mem", O_RDONLY) == -1)
            let reports = Reports()
            try Hub.current.watch(longerThan: .milliseconds(20) * Sanitizer.slowness) { reports.append($0) }
            for (name, block) in [("computes", { burn(.milliseconds(1)) }), ("sleeps", { _ = poll(nil, 0, 100) })] {
                let end = Deadline.after(.seconds(10))
                try spawn(name: name) { while reports.all(of: name).isEmpty, !end.hasPassed { block() } }.value()
                #expect(reports.all(of: name).first?.backtrace.isEmpty == false, "\(name): \(reports.all)")
            }
            Hub.current.stopWatching()
        }
    }

    @Test
    func `each of nine calls that block one after the other is reported once, takes its time and returns its result`()
        throws
    {
        let length = Duration.milliseconds(150) * Sanitizer.slowness
        try withTemporaryPath("lock") { path in
            try onHub {
                let reports = Reports()
                try Hub.current.watch(longerThan: .milliseconds(20) * Sanitizer.slowness) { reports.append($0) }
                let calls = blockingCalls(length, path)
                let culprit = spawn(name: "culprit") {
                    for (name, call) in calls {
                        let start = Deadline.now
                        #expect(makeCall(call), "\(name)")
                        #expect(.now - start >= length, "\(name)")
                    }
                }
                try culprit.value()
                Hub.current.stopWatching()
                // On a busy machine, the code between two calls may take long too.
                let told = reports.all.filter { $0.backtrace.contains { $0.contains("makeCall") } }
                #expect(told.count == calls.count, "\(reports.all)")
                for (report, (name, _)) in zip(told, calls) {
                    #expect(report.greenThread == "green thread 2 (culprit)" && report.obstacle == nil)
                    #expect(report.backtrace.contains { $0.contains(name) }, "\(name): \(report)")
                    #expect(report.backtrace.contains { $0.contains("runBody") }, "\(report)")
                }
            }
        }
    }

    @Test func `long computing is reported once, and so are many short calls`() throws {
        try onHub {
            let reports = Reports()
            let limit = Duration.milliseconds(40) * Sanitizer.slowness
            try Hub.current.watch(longerThan: limit) { reports.append($0) }
            try spawn(name: "computes") { burn(limit * 5) }.value()
            try Greenlet.sleep(for: .milliseconds(1))
            let end = Deadline.after(limit * 5)
            try spawn(name: "naps") { while !end.hasPassed { poll(nil, 0, 1) } }.value()
            Hub.current.stopWatching()
            for name in ["computes", "naps"] { #expect(reports.all(of: name).count == 1, "\(reports.all)") }
        }
    }

    @Test func `a green thread that computes with all signals blocked is reported by its name`() throws {
        try onHub {
            let reports = Reports()
            try Hub.current.watch(longerThan: .milliseconds(20)) { reports.append($0) }
            try spawn(name: "deaf") {
                var (signals, before) = (sigset_t(), sigset_t())
                sigfillset(&signals)
                pthread_sigmask(SIG_BLOCK, &signals, &before)
                spinUntil { !reports.all(of: "deaf").isEmpty }
                pthread_sigmask(SIG_SETMASK, &before, nil)
            }.value()
            Hub.current.stopWatching()
            #expect(reports.all(of: "deaf").map(\.backtrace) == [[]])
        }
    }

    @Test func `a call that blocks the OS thread's own stack is shown to its outermost frame, in C as well`() throws {
        try onHub {
            let reports = Reports()
            try Hub.current.watch(longerThan: .milliseconds(10) * Sanitizer.slowness) { reports.append($0) }
            // C's qsort calls back.
            var numbers: [Int32] = [2, 1]
            while !reports.all.contains(where: { $0.backtrace.contains { $0.contains("poll") } }) {
                qsort(&numbers, 2, 4) { _, _ in
                    poll(nil, 0, 100)
                    return 0
                }
            }
            #expect(reports.all.last!.backtrace.contains { $0.contains("BlockedHubTests") }, "\(reports.all)")
        }
    }

    @Test func `a hub that waits in its loop, or whose green threads give way, is not reported`() throws {
        try onHub {
            let reports = Reports()
            try Hub.current.watch(longerThan: .milliseconds(200) * Sanitizer.slowness) { reports.append($0) }
            let busy = spawn { while true { try Greenlet.yield() } }
            try Greenlet.sleep(for: .milliseconds(300) * Sanitizer.slowness)
            busy.kill()
            try Greenlet.sleep(for: .milliseconds(300) * Sanitizer.slowness)
            #expect(reports.all.map(\.description) == [])
        }
    }

    @Test func `watching ends with the hub, and can be started anew`() throws {
        try onOSThread {
            for _ in 0..<3 {
                try Hub.current.watch(longerThan: .milliseconds(10))
                try Hub.current.watch(longerThan: .milliseconds(10))
                Hub.current.close()
            }
        }
    }
}

/// The reports of watching OS threads.
final class Reports: Sendable {
    private let state = Mutex<[BlockedHub]>([])
    var all: [BlockedHub] { state.withLock { $0 } }
    func all(of name: String) -> [BlockedHub] { all.filter { $0.greenThread.contains("(\(name)") } }
    func append(_ report: BlockedHub) { state.withLock { $0.append(report) } }
}

@inline(never)
private func spinUntil(_ isDone: () -> Bool) { while !isDone() {} }

// MARK: - Calls that block

/// Each call has the name of the C library's function in a backtrace.  Only the first two calls are repeated by themselves after a signal.
private func blockingCalls(_ length: Duration, _ path: String) -> [(name: String, call: () -> Bool)] {
    let milliseconds = Int32(length / .milliseconds(1))
    var time = timespec(tv_sec: Int(milliseconds / 1000), tv_nsec: Int(milliseconds % 1000) * 1_000_000)
    var interval = timeval(tv_sec: Int(milliseconds / 1000), tv_usec: Int(milliseconds % 1000) * 1000)
    func later(_ body: @escaping @Sendable () -> Void) -> TestThread<Void> {
        TestThread {
            usleep(UInt32(milliseconds + 5) * 1000)
            body()
        }
    }
    func moment() -> timespec {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let nanoseconds = now.tv_nsec + time.tv_nsec
        return timespec(
            tv_sec: now.tv_sec + time.tv_sec + nanoseconds / 1_000_000_000, tv_nsec: nanoseconds % 1_000_000_000)
    }
    return [
        (
            "read",
            {
                var ends: [Int32] = [-1, -1]
                pipe(&ends)
                let (reading, writing) = (ends[0], ends[1])
                let writer = later { _ = write(writing, "x", 1) }
                defer {
                    _ = writer.result()
                    close(reading)
                    close(writing)
                }
                var byte: UInt8 = 0
                return read(reading, &byte, 1) == 1 && byte == UInt8(ascii: "x")
            }
        ),
        (
            "flock",
            {
                let (first, second) = (open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600), open(path, O_RDWR | O_CLOEXEC))
                flock(first, LOCK_EX)
                let opener = later { flock(first, LOCK_UN) }
                defer {
                    _ = opener.result()
                    close(first)
                    close(second)
                }
                return flock(second, LOCK_EX) == 0
            }
        ),
        ("nanosleep", { nanosleep(&time, nil) == 0 }),
        ("poll", { poll(nil, 0, milliseconds) == 0 }),
        (
            "accept",
            {
                let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
                defer { close(listener) }
                var family = sockaddr(sa_family: sa_family_t(AF_UNIX), sa_data: sockaddr().sa_data)
                bind(listener, &family, 2)  // the kernel finds a name
                listen(listener, 1)
                setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &interval, socklen_t(MemoryLayout<timeval>.size))
                return accept(listener, nil, nil) == -1 && errno == EAGAIN
            }
        ),
        (
            "select",
            {
                // The call changes its timeout.
                var left = interval
                return select(0, nil, nil, nil, &left) == 0
            }
        ),
        (
            "recv",
            {
                var ends: [Int32] = [-1, -1]
                socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
                defer { for end in ends { close(end) } }
                setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &interval, socklen_t(MemoryLayout<timeval>.size))
                var byte: UInt8 = 0
                return recv(ends[0], &byte, 1, 0) == -1 && errno == EAGAIN
            }
        ),
        (
            "sigtimedwait",
            {
                var signals = sigset_t()
                sigemptyset(&signals)
                return sigtimedwait(&signals, nil, &time) == -1 && errno == EAGAIN
            }
        ),
        // The C library does not export the function's name.
        (
            "libc",
            {
                let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
                defer { semaphore.deallocate() }
                sem_init(semaphore, 0, 0)
                var end = moment()
                return sem_timedwait(semaphore, &end) == -1 && errno == ETIMEDOUT
            }
        ),
    ]
}

@inline(never)
private func makeCall(_ call: () -> Bool) -> Bool {
    let result = call()
    // The call is not the function's last action, so that its frame stays.
    return result && !Task.isCancelled
}

/// The rights of an OS thread to files, and of the process to inspect itself.
private struct Rights {
    // Swift's view of glibc leaves them out.
    private typealias SetUser = @convention(c) (uid_t) -> Int32
    private typealias Control = @convention(c) (Int32, UInt, UInt, UInt, UInt) -> Int32
    private let setUser: SetUser
    private let control: Control

    init() throws {
        setUser = unsafeBitCast(try #require(dlsym(nil, "setfsuid")), to: SetUser.self)
        control = unsafeBitCast(try #require(dlsym(nil, "prctl")), to: Control.self)
    }

    func giveUp() { change(to: 65534, isShown: 0) }
    func takeBack() { change(to: geteuid(), isShown: 1) }

    private func change(to user: uid_t, isShown: UInt) {
        let setDumpable: Int32 = 4
        _ = setUser(user)
        _ = control(setDumpable, isShown, 0, 0, 0)
    }
}
