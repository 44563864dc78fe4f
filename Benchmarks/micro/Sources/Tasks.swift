import GreenNet

/// An async call that has its answer at once.
func awaitAtOnce(_ count: Int) {
    let thread = spawn {
        var sum = 0
        for number in 0..<count { sum &+= try awaiting { await answer(number) } }
        return sum
    }
    precondition(try! thread.value() == count * (count - 1) / 2)
}

@inline(never)
private func answer(_ number: Int) async -> Int { number }

/// An async call that is suspended once, and is resumed on the hub.
func awaitSuspended(_ count: Int) {
    try! spawn { for _ in 0..<count { try awaiting { await Task.yield() } } }.join()
}

/// An async call that is suspended once, until another green thread has given its answer.
func awaitAnswer(_ count: Int) {
    nonisolated(unsafe) var asked: UnsafeContinuation<Int, Never>?
    let answers = spawn {
        for number in 0..<count {
            while asked == nil { try Greenlet.yield() }
            let continuation = asked!
            asked = nil
            continuation.resume(returning: number)
        }
    }
    spawn { for _ in 0..<count { _ = try awaiting { await withUnsafeContinuation { asked = $0 } } } }
    try! answers.join()
}

/// What one writes without `awaiting`: a task of Swift's own pool, and a result that it sets.
func awaitDetached(_ count: Int) {
    for number in 0..<count {
        let result = RemoteResult<Int>()
        Task.detached { result.set(await answer(number)) }
        precondition(try! result.value() == number)
    }
}

/// A task of Swift's own pool runs code on this hub and awaits it, one call after the other.
func runForTask(_ count: Int) {
    let (remote, sum) = (Hub.current.remote, RemoteResult<Int>())
    Task.detached {
        var total = 0
        for number in 0..<count { total &+= try await remote.run { number } }
        sum.set(total)
    }
    precondition(try! sum.value() == count * (count - 1) / 2)
}

/// A task that runs on this hub, started by another one that waits for its value.
func runTask(_ count: Int) {
    let hub = Hub.current.executor
    let thread = spawn {
        try awaiting {
            var sum = 0
            for number in 0..<count { sum &+= await Task(executorPreference: hub) { number }.value }
            return sum
        }
    }
    precondition(try! thread.value() == count * (count - 1) / 2)
}

/// Two tasks of this hub; `count` yields in all.
func yieldAmongTasks(_ count: Int) {
    let hub = Hub.current.executor
    let thread = spawn {
        try awaiting {
            let tasks = (0..<2).map { _ in
                Task(executorPreference: hub) { for _ in 0..<count / 2 { await Task.yield() } }
            }
            for task in tasks { await task.value }
        }
    }
    try! thread.join()
}
