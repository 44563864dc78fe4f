import GreenNet

// Generic calls that need not wait: what is left is what they themselves cost.

func putAndTake(_ count: Int) {
    let queue = GreenQueue<Int>()
    for number in 0..<count {
        precondition(try! queue.tryPut(number))
        precondition(queue.tryTake() == number)
    }
}

/// Both green threads wait in turn.
func passThroughChannel(_ count: Int) {
    let channel = GreenChannel<Int>()
    let consumer = spawn {
        var sum = 0
        for _ in 0..<count { sum += try channel.take() }
        return sum
    }
    spawn {
        for item in 0..<count { try channel.put(item) }
    }
    precondition(try! consumer.value() == count * (count - 1) / 2)
}

func setResult(_ count: Int) {
    for number in 0..<count {
        let result = GreenResult<Int>()
        result.set(number)
        precondition(try! result.value() == number)
    }
}

private let local = GreenLocal(0)

func readLocal(_ count: Int) {
    local.value = 1
    var sum = 0
    for _ in 0..<count { sum += local.value }
    precondition(sum == count)
}

func writeLocal(_ count: Int) {
    for number in 0..<count { local.value = number }
    precondition(local.value == count - 1)
}

func lendResource(_ count: Int) {
    let pool = ResourcePool(limit: 1) { 1 }
    var sum = 0
    for _ in 0..<count { try! pool.withResource { sum += $0 } }
    precondition(sum == count)
}

func lock(_ count: Int) {
    let lock = GreenLock()
    var sum = 0
    for _ in 0..<count { try! lock.withLock { sum += 1 } }
    precondition(sum == count)
}

func takePermit(_ count: Int) {
    let semaphore = GreenSemaphore(1)
    var sum = 0
    for _ in 0..<count { try! semaphore.withPermit { sum += 1 } }
    precondition(sum == count)
}

func shield(_ count: Int) {
    var sum = 0
    for _ in 0..<count { shielded { sum += 1 } }
    precondition(sum == count)
}

/// As `spawnOneByOne`, but with what the body returns.
func spawnForValue(_ count: Int) {
    var sum = 0
    for _ in 0..<count { sum += try! spawn { 1 }.value() }
    precondition(sum == count)
}

func groupOfOne(_ count: Int) {
    var sum = 0
    for _ in 0..<count {
        try! withGreenGroup { group in group.spawn { sum += 1 } }
    }
    precondition(sum == count)
}

func gatherTwo(_ count: Int) {
    var sum = 0
    for number in 0..<count {
        let (one, other) = try! gather({ number }, { 1 })
        sum += one + other
    }
    precondition(sum == count * (count + 1) / 2)
}

/// A step is an item.
func mapInPool(_ count: Int) {
    let pool = GreenPool(limit: 100)
    let doubled = try! pool.map(0..<count) { 2 * $0 }
    precondition(doubled.count == count && doubled[count - 1] == 2 * (count - 1))
}

func waitForOneOfTwo(_ count: Int) {
    let (one, other) = (GreenEvent(), GreenEvent())
    other.set()
    for _ in 0..<count { precondition(try! waitAny([one, other]) === other) }
}

func putAndTakeRemotely(_ count: Int) {
    let channel = RemoteChannel<Int>(limit: 16)
    for number in 0..<count {
        precondition(try! channel.tryPut(number))
        precondition(channel.tryTake() == number)
    }
}

func setRemoteResult(_ count: Int) {
    for number in 0..<count {
        let result = RemoteResult<Int>()
        result.set(number)
        precondition(try! result.value() == number)
    }
}

func lockRemotely(_ count: Int) {
    let lock = RemoteLock()
    var sum = 0
    for _ in 0..<count { try! lock.withLock { sum += 1 } }
    precondition(sum == count)
}
