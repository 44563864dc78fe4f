import Glibc
import GreenNet

/// Many processes at one object.
let crowdPrograms = [
    SharedProgram("tickets") { _ in try sellTickets() },
    SharedProgram("five-at-a-time") { _ in try useFiveAtATime() },
    SharedProgram("producers-and-consumers") { _ in try produceAndConsume() },
    SharedProgram("counters") { _ in try countTogether() },
    SharedProgram("event") { _ in try waitForEvent() },
]

/// A hundred buyers and one ticket.  One more takes the lock and is killed with it, at a moment when others wait.
private func sellTickets() throws {
    let (tickets, lock) = (try SharedValue(1), try SharedLock())
    let (bought, refused, told) = (0, 1, 2)
    let counters = try SharedCounters(count: 3)
    let victim = fork {
        try lock.withLock { _ in
            while counters[refused] == 0 { try Greenlet.sleep(for: .seconds(60)) }
        }
    }
    wait("the lock is held") { lock.holder == victim }
    let buyers = (0..<100).map { number in
        fork {
            // Half of them on a hub, half blocking.
            if number % 2 == 0 { _ = Hub.current }
            try lock.withLock { previous in
                if previous == .died(victim) { counters.add(to: told) }
                if number % 2 == 0 { try Greenlet.sleep(for: .milliseconds(1)) }
                let hasTicket = tickets.load() > 0
                if hasTicket { tickets.store(tickets.load() - 1) }
                counters.add(to: hasTicket ? bought : refused)
            }
        }
    }
    try Greenlet.sleep(for: .milliseconds(20))
    kill(victim, SIGKILL)
    check(end(of: victim) == .signal(SIGKILL), "the victim was not killed")
    expectSuccess(buyers)
    check(counters.allValues == [1, 99, 1], "bought, refused, told: \(counters.allValues)")
    check(tickets.load() == 0 && lock.holder == nil, "\(tickets.load()) tickets are left")
}

private func useFiveAtATime() throws {
    let (places, users) = (try SharedSemaphore(5), try SharedCounters(count: 2))
    let most = try SharedValue(0)
    let children = (0..<13).map { number in
        fork {
            if number % 2 == 0 { _ = Hub.current }
            try places.withPermit {
                let now = users.add(to: 0)
                most.update { $0 = max($0, now) }
                // Long enough for all to have come.
                usleep(50_000)
                users.add(-1, to: 0)
                users.add(to: 1)
            }
        }
    }
    expectSuccess(children)
    check(most.load() == 5, "\(most.load()) at once, of 5")
    check(users.allValues == [0, 13] && places.available == 5, "\(users.allValues), \(places.available) available")
}

private func produceAndConsume() throws {
    let (producers, each) = (3, 2000)
    let queue = try SharedQueue<Int>(limit: 7)
    let frames = try SharedQueue<[UInt8]>(limit: 3, longest: 100)
    let (sum, count, bytes) = (0, 1, 2)
    let counters = try SharedCounters(count: 3)
    let consumers = (0..<3).map { number in
        fork {
            if number % 2 == 0 { _ = Hub.current }
            while let value = try queue.next() {
                counters.add(value, to: sum)
                counters.add(to: count)
                queue.taskDone()
            }
            while let frame = try frames.next() {
                check(frame.allSatisfy { Int($0) == frame.count % 256 }, "\(frame)")
                counters.add(frame.count, to: bytes)
                frames.taskDone()
            }
        }
    }
    let makers = (0..<producers).map { number in
        fork {
            if number % 2 == 0 { _ = Hub.current }
            for value in 1...each { try queue.put(value) }
        }
    }
    // The consumers come to the frames after the end of the numbers.
    let framers = (0..<producers).map { number in
        fork {
            if number % 2 == 0 { _ = Hub.current }
            for length in 0...100 { try frames.put([UInt8](repeating: UInt8(length), count: length)) }
        }
    }
    expectSuccess(makers)
    check(try queue.joinTasks(until: .after(.seconds(30))), "\(queue.unfinishedTasks) tasks are not done")
    check(counters[count] == producers * each, "\(counters[count]) taken")
    check(counters[sum] == producers * each * (each + 1) / 2, "the sum is \(counters[sum])")
    queue.shutDown()
    expectSuccess(framers)
    check(try frames.joinTasks(until: .after(.seconds(30))), "\(frames.unfinishedTasks) frames are not done")
    frames.shutDown()
    expectSuccess(consumers)
    check(counters[bytes] == producers * 5050, "\(counters[bytes]) bytes")
    check(queue.lostTasks == 0 && frames.lostTasks == 0, "lost tasks")
}

private func countTogether() throws {
    let (each, processes) = (50_000, 4)
    let counters = try SharedCounters(count: 2)
    let (number, array) = (try SharedValue(0), try SharedArray<Double>(count: 3))
    let pair = try SharedValue((0, 0))
    expectSuccess(
        (0..<processes).map { process in
            fork {
                for _ in 0..<each {
                    counters.add(to: 0)
                    counters.add(-2, to: 1)
                    number.add(1)
                    array.withElements { $0[process % 3] += 0.5 }
                    pair.update { $0 = ($0.0 + 1, $0.1 + 1) }
                    let now = pair.load()
                    check(now.0 == now.1, "half of a value: \(now)")
                }
            }
        })
    let total = each * processes
    check(counters.allValues == [total, -2 * total], "\(counters.allValues)")
    check(number.load() == total && pair.load() == (total, total), "\(number.load()), \(pair.load())")
    check(array.allElements.reduce(0, +) == Double(total) / 2, "\(array.allElements)")
}

private func waitForEvent() throws {
    let (event, counters) = (try SharedEvent(), try SharedCounters(count: 2))
    let children = (0..<20).map { number in
        fork {
            if number % 2 == 0 { _ = Hub.current }
            check(try event.wait(until: .after(.milliseconds(1))) == false, "set too early")
            counters.add(to: 0)
            check(try event.wait(), "not set")
            counters.add(to: 1)
        }
    }
    wait("all have begun") { counters[0] == 20 }
    check(counters[1] == 0 && !event.isSet, "one went on")
    event.set()
    event.set()
    expectSuccess(children)
    check(counters[1] == 20 && event.isSet, "\(counters[1]) went on")
    event.clear()
    check(!event.isSet, "still set")
    // Set and cleared at once, it lets those go on that wait.
    let last = fork {
        counters.add(to: 0)
        check(try event.wait(), "not set")
    }
    wait("it waits") { counters[0] == 21 }
    try Greenlet.sleep(for: .milliseconds(20))
    event.set()
    event.clear()
    expectSuccess([last])
}
