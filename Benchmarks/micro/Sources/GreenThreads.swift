import GreenNet

// Nothing here is killed or has a time limit that ends: a wait that throws is a mistake.

/// `count` yields in all.
func yield(_ count: Int, among threads: Int) {
    let each = max(1, count / threads)
    for _ in 0..<threads {
        spawn {
            for _ in 0..<each { try Greenlet.yield() }
        }
    }
    try! Hub.current.run()
}

func spawnOneByOne(_ count: Int) {
    withUnsafeTemporaryAllocation(of: Int.self, capacity: 1) { ran in
        let ran = ran.baseAddress!
        ran.initialize(to: 0)
        for _ in 0..<count {
            try! spawn { ran.pointee += 1 }.join()
        }
        precondition(ran.pointee == count)
    }
}

func spawnByHundreds(_ count: Int) {
    withUnsafeTemporaryAllocation(of: Int.self, capacity: 1) { ran in
        let ran = ran.baseAddress!
        ran.initialize(to: 0)
        for _ in 0..<count / 100 {
            for _ in 0..<100 {
                spawn { ran.pointee += 1 }
            }
            try! Hub.current.run()
        }
        precondition(ran.pointee == count / 100 * 100)
    }
}

func limitTime(_ count: Int) {
    for _ in 0..<count {
        try! withTimeout(.seconds(10)) {}
    }
}

/// Two green threads wake each other, and each wait may have a deadline that never comes.
func passEvents(_ count: Int, until deadline: @escaping () -> Deadline) {
    let (ping, pong) = (GreenEvent(), GreenEvent())
    func play(_ mine: GreenEvent, _ other: GreenEvent) {
        spawn {
            for _ in 0..<count / 2 {
                try mine.wait(until: deadline())
                mine.clear()
                other.set()
            }
        }
    }
    play(ping, pong)
    play(pong, ping)
    ping.set()
    try! Hub.current.run()
}

/// One puts, another takes, and there is room for one item.
func passThroughQueue(_ count: Int) {
    let queue = GreenQueue<Int>(limit: 1)
    let consumer = spawn {
        var sum = 0
        for _ in 0..<count { sum += try queue.take() }
        return sum
    }
    spawn {
        for item in 0..<count { try queue.put(item) }
    }
    precondition(try! consumer.value() == count * (count - 1) / 2)
}
