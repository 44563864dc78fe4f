import Glibc
import GreenNet
import Synchronization

/// Programs in which the hub of the main OS thread runs all tasks.
let defaultExecutorPrograms = [
    AsyncProgram("default-executor") {
        try Hub.becomeDefaultExecutor()
        try checkAllKindsOfTasks()
        check(osThreads == 1, "\(osThreads) OS threads")
        expect(.calledBefore) { () throws(DefaultExecutorError) in try Hub.becomeDefaultExecutor() }
    },
    AsyncProgram("default-executor-sleepers") {
        try Hub.becomeDefaultExecutor()
        let (start, done) = (Deadline.now, RemoteSemaphore(0))
        for _ in 0..<1000 {
            Task.detached {
                try await Task.sleep(for: .milliseconds(100))
                done.release()
            }
        }
        for _ in 0..<1000 { try done.acquire() }
        check(.now - start >= .milliseconds(100), "woke early")
        check(osThreads == 1, "\(osThreads) OS threads")
    },
    AsyncProgram("default-executor-refused") {
        let executor = Hub.current.executor
        let refusal = RemoteResult<Void>()
        Task(executorPreference: executor) {
            parking {
                expect(.insideTask) { () throws(DefaultExecutorError) in try Hub.becomeDefaultExecutor() }
            }
            refusal.set(())
        }
        try refusal.value()
        let gate = RemoteSemaphore(0)
        let thread = try OSThread.start {
            expect(.notMainOSThread) { () throws(DefaultExecutorError) in try Hub.becomeDefaultExecutor() }
            try! gate.acquire()
        }
        expect(.tooLate) { () throws(DefaultExecutorError) in try Hub.becomeDefaultExecutor() }
        gate.release()
        thread.join()
        // Nothing was changed.
        blockUntil { osThreads == 1 }
        try Hub.becomeDefaultExecutor()
        try checkAllKindsOfTasks()
    },
    AsyncProgram("default-executor-fork") {
        try Hub.becomeDefaultExecutor()
        try checkAllKindsOfTasks()
        let sleeper = RemoteResult<Void>()
        Task.detached {
            try await Task.sleep(for: .milliseconds(300))
            print("slept in \(getpid() == parent ? "the parent" : "a child")")
            sleeper.set(())
        }
        let child = try Fork.child(.init()) {
            do { try checkAllKindsOfTasks() } catch { fail("threw \(error) in the child") }
            check(osThreads == 1, "\(osThreads) OS threads in the child")
            try! Greenlet.sleep(for: .milliseconds(400))
            return 7
        }
        try checkAllKindsOfTasks()
        try sleeper.value()
        var status: Int32 = 0
        check(waitpid(child, &status, 0) == child && status == 7 << 8, "the child ended with \(status)")
        check(osThreads == 1, "\(osThreads) OS threads")
    },
    AsyncProgram("default-executor-second-hub") {
        try Hub.becomeDefaultExecutor()
        let (start, sleeper, late) = (Deadline.now, RemoteResult<Void>(), RemoteResult<Void>())
        Task.detached {
            try await Task.sleep(for: .milliseconds(50))
            sleeper.set(())
        }
        try Greenlet.yield()
        Hub.current.close()
        Task.detached { @MainActor in late.set(()) }
        try late.value()
        try sleeper.value()
        check(.now - start >= .milliseconds(50), "woke early")
        Hub.current.close()
        try checkAllKindsOfTasks()
        check(osThreads == 1, "\(osThreads) OS threads")
    },
    AsyncProgram("default-executor-blocked") {
        try Hub.becomeDefaultExecutor()
        try checkAllKindsOfTasks()
        do throws(WaitError) {
            try GreenEvent().wait()
            fail("waited for nothing")
        } catch {
            guard case .blockedForever = error else { fail("threw \(error)") }
        }
    },
]

private let parent = getpid()

private func expect(
    _ expected: DefaultExecutorError, line: UInt = #line, _ body: () throws(DefaultExecutorError) -> Void
) {
    do throws(DefaultExecutorError) { try body() } catch {
        return check(error == expected, "threw \(error)", line: line)
    }
    fail("line \(line): threw nothing")
}

private actor Counter {
    private(set) var count = 0

    func add() { count += 1 }
}

private func checkAllKindsOfTasks() throws {
    let (here, result) = (osThread(), RemoteResult<Int>())
    Task.detached {
        let counter = Counter()
        let inherited = Task { osThread() == here }
        check(await inherited.value, "Task { } ran elsewhere")
        check(await MainActor.run { osThread() == here }, "MainActor.run ran elsewhere")
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<100 {
                group.addTask {
                    try? await Task.sleep(for: .milliseconds(5))
                    await counter.add()
                    check(osThread() == here, "a child task ran elsewhere")
                }
            }
        }
        parking { try! Greenlet.sleep(for: .milliseconds(1)) }
        await Task.yield()
        check(osThread() == here, "a task went elsewhere")
        result.set(await counter.count)
    }
    let count = try result.value(until: .after(.seconds(20)))
    check(count == 100, "\(count) of 100")
    MainActor.assumeIsolated {}
}
