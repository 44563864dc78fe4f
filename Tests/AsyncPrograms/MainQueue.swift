import Glibc
import GreenNet

/// Programs in which Swift runs the main actor on Dispatch's main queue, and the hub has the main OS thread.
let mainQueuePrograms = [
    AsyncProgram("main-actor") {
        let (here, result) = (osThread(), RemoteResult<Bool>())
        Task { @MainActor in
            let first = osThread() == here
            try await Task.sleep(for: .milliseconds(10))
            let second = await Task.detached { osThread() == here }.value
            result.set(first && !second && osThread() == here)
        }
        check(try result.value(until: .after(.seconds(20))), "a job of the main actor ran elsewhere")
        let other = RemoteResult<Bool>()
        Task.detached { other.set(await MainActor.run { osThread() == here }) }
        check(try other.value(until: .after(.seconds(20))), "MainActor.run ran elsewhere")
    },
    AsyncProgram("main-actor-wakes-hub") {
        // The hub sleeps before the main queue is used, by another OS thread.
        let (gate, result) = (RemoteSemaphore(0), RemoteResult<Void>())
        let thread = try OSThread.start {
            try! gate.acquire()
            Task { @MainActor in result.set(()) }
            try! result.value(until: .after(.seconds(20)))
        }
        spawn { gate.release() }
        try result.value(until: .after(.seconds(20)))
        thread.join()
    },
    AsyncProgram("main-actor-parks") {
        let (opened, done) = (GreenEvent(), RemoteSemaphore(0))
        nonisolated(unsafe) let event = opened
        for _ in 0..<2 {
            Task { @MainActor in
                parking { _ = try! event.wait() }
                done.release()
            }
        }
        try Greenlet.sleep(for: .milliseconds(5))
        check(Hub.current.statistics.greenThreads == 1, "\(Hub.current.statistics.greenThreads) drains at a time")
        opened.set()
        for _ in 0..<2 { _ = try done.acquire(until: .after(.seconds(20))) }
        try Hub.current.run(until: .after(.seconds(20)))
    },
    AsyncProgram("main-actor-before-deadlock") {
        let opened = GreenEvent()
        nonisolated(unsafe) let event = opened
        Task { @MainActor in event.set() }
        // Nothing else can wake this hub.
        try opened.wait()
        Task { @MainActor in event.clear() }
        while opened.isSet { try Greenlet.yield() }
        do throws(WaitError) {
            try opened.wait()
            fail("waited for nothing")
        } catch {
            guard case .blockedForever = error else { fail("threw \(error)") }
        }
        check(osThreads == 1, "\(osThreads) OS threads")
    },
    AsyncProgram("main-queue-unused") {
        try Greenlet.sleep(for: .milliseconds(5))
        let before = eventDescriptors()
        Hub.current.close()
        try Greenlet.sleep(for: .milliseconds(5))
        check(eventDescriptors() == before && before == 1, "\(before), then \(eventDescriptors()) eventfds")
    },
    AsyncProgram("main-queue-fork") {
        let result = RemoteResult<Void>()
        Task { @MainActor in result.set(()) }
        try result.value(until: .after(.seconds(20)))
        check(osThreads == 1, "\(osThreads) OS threads")
        let child = try Fork.child(.init()) {
            for _ in 0..<3 { try! spawn { try Greenlet.sleep(for: .milliseconds(1)) }.join() }
            check(eventDescriptors() == 1, "\(eventDescriptors()) eventfds in the child")
            return 7
        }
        let again = RemoteResult<Void>()
        Task { @MainActor in again.set(()) }
        try again.value(until: .after(.seconds(20)))
        var status: Int32 = 0
        check(waitpid(child, &status, 0) == child && status == 7 << 8, "the child ended with \(status)")
    },
    AsyncProgram("main-actor-in-child") {
        try Greenlet.sleep(for: .milliseconds(1))
        let child = try Fork.child(.init()) {
            let result = RemoteResult<Void>()
            Task { @MainActor in result.set(()) }
            do { try result.value(until: .after(.seconds(20))) } catch { fail("threw \(error) in the child") }
            return 7
        }
        var status: Int32 = 0
        check(waitpid(child, &status, 0) == child && status == 7 << 8, "the child ended with \(status)")
    },
]

private func eventDescriptors() -> Int {
    var count = 0
    for number in 0..<64 {
        var target = [CChar](repeating: 0, count: 64)
        let length = readlink("/proc/self/fd/\(number)", &target, 63)
        if length > 0,
            String(decoding: target[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self).contains("[eventfd]")
        {
            count += 1
        }
    }
    return count
}
