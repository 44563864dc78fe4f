import GreenNet
import Synchronization

/// What becomes of the tasks of a hub that closes: they go on where Swift's global executor runs them.
let closingPrograms = [
    AsyncProgram("endless-task") {
        let isOver = Atomic(false)
        let result = RemoteResult<Void>()
        Task(executorPreference: Hub.current.executor) { @Sendable in
            while !isOver.load(ordering: .relaxed) { await Task.yield() }
            result.set(())
        }
        Hub.current.close()
        isOver.store(true, ordering: .relaxed)
        blockUntil { result.isSet }
    },
    AsyncProgram("sleeper-at-close") {
        let (start, result) = (Deadline.now, RemoteResult<Deadline>())
        Task(executorPreference: Hub.current.executor) {
            try await Task.sleep(for: .milliseconds(50))
            result.set(.now)
        }
        try Greenlet.yield()
        Hub.current.close()
        blockUntil { result.isSet }
        check(try result.value() - start >= .milliseconds(50), "woke early")
    },
    AsyncProgram("task-after-close") {
        let result = RemoteResult<Bool>()
        let (executor, here) = (Hub.current.executor, osThread())
        Hub.current.close()
        Task(executorPreference: executor) { result.set(osThread() == here) }
        blockUntil { result.isSet }
        check(try !result.value(), "ran on the OS thread of the closed hub")
    },
    AsyncProgram("actor-after-close") {
        let actor = LateActor(Hub.current.serialExecutor)
        Hub.current.close()
        let isOver = Atomic(false)
        for _ in 0..<2 {
            Task.detached { @Sendable in
                await actor.work()
                isOver.store(true, ordering: .relaxed)
            }
        }
        // The test waits for the line on standard error.
        let end = Deadline.after(.milliseconds(200))
        blockUntil { end.hasPassed }
        check(!isOver.load(ordering: .relaxed), "the actor ran without its hub")
    },
]

private actor LateActor {
    private let executor: HubSerialExecutor

    init(_ executor: HubSerialExecutor) { self.executor = executor }

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    // Not optimized: the compiler takes away the hop to an actor that does nothing.
    @inline(never) @_optimize(none)
    func work() {}
}
