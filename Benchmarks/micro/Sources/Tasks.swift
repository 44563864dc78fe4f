import GreenNet

/// An async call that has its answer at once.
func awaitAtOnce(_ count: Int) {
    var sum = 0
    for number in 0..<count { sum &+= try! awaiting { await answer(number) } }
    precondition(sum == count * (count - 1) / 2)
}

@inline(never)
private func answer(_ number: Int) async -> Int { number }

/// An async call that is suspended once, and is resumed on the hub.
func awaitSuspended(_ count: Int) {
    for _ in 0..<count { try! awaiting { await Task.yield() } }
}

/// What one writes without `awaiting`: a task of Swift's own pool, and a result that it sets.
func awaitDetached(_ count: Int) {
    for number in 0..<count {
        let result = RemoteResult<Int>()
        Task.detached { result.set(await answer(number)) }
        precondition(try! result.value() == number)
    }
}
