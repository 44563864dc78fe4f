import Glibc
import GreenNet

/// The table of the article: deadlines, kills, closing and deaths, for each object, on a hub and without one.
let tablePrograms = [
    SharedProgram("deadlines") { _ in try passDeadlines() },
    SharedProgram("green-threads-go-on") { _ in try runBesideWaits() },
    SharedProgram("kills") { _ in try killWaits() },
    SharedProgram("time-limits") { _ in try limitWaits() },
    SharedProgram("closing") { _ in try closeQueues() },
    SharedProgram("deaths") { _ in try meetDeaths() },
    SharedProgram("dead-waiters") { _ in try skipDeadWaiters() },
    SharedProgram("hub-closes") { _ in try closeHubs() },
]

/// One of each kind, none of which can go on.
private struct Stuck {
    let lock = try! SharedLock()
    let semaphore = try! SharedSemaphore(1)
    let event = try! SharedEvent()
    let empty = try! SharedQueue<Int>(limit: 1)
    let full = try! SharedQueue<Int>(limit: 1)
    let holder: pid_t

    init() throws {
        try full.put(1)
        let (lock, semaphore) = (lock, semaphore)
        holder = fork {
            try semaphore.withPermit { try lock.withLock { _ in while true { pause() } } }
        }
        wait("all is held") { lock.holder != nil }
    }

    func end() {
        kill(holder, SIGKILL)
        collect(holder)
    }

    /// Each wait returns false where its time was over.
    var waits: [(name: String, wait: (Deadline) throws -> Bool)] {
        [
            ("lock", { until in try timely { try lock.withLock(until: until) { _ in } } }),
            ("semaphore", { until in try semaphore.acquire(until: until) }),
            ("event", { until in try event.wait(until: until) }),
            ("take", { until in try timely { _ = try empty.take(until: until) } }),
            ("next", { until in try timely { _ = try empty.next(until: until) } }),
            ("put", { until in try timely { try full.put(2, until: until) } }),
            ("joinTasks", { until in try full.joinTasks(until: until) }),
        ]
    }

    func timely(_ body: () throws -> Void) throws -> Bool {
        do { try body() } catch let error as WaitError {
            guard error == .deadlinePassed else { throw error }
            return false
        }
        return true
    }
}

private func passDeadlines() throws {
    let stuck = try Stuck()
    defer { stuck.end() }
    func passAll(_ place: String) throws {
        for (name, wait) in stuck.waits {
            for length in [Duration.milliseconds(-1), .zero, .milliseconds(30)] {
                let begin = Deadline.now
                check(try !wait(.after(length)), "\(name) came to an end \(place)")
                check(Deadline.now - begin >= length, "\(name) ended before its time \(place)")
            }
        }
    }
    check(!PatchedWait.isOnHub, "there is a hub already")
    try passAll("without a hub")
    check(!PatchedWait.isOnHub, "a wait has made a hub")
    _ = Hub.current
    try passAll("on a hub")
    check(stuck.full.count == 1 && stuck.empty.count == 0, "an element was put or taken")
    // The wait for what is there has no need of time.
    check(try stuck.full.take(until: .now) == 1, "not taken")
    try stuck.full.put(1, until: .now)
    stuck.event.set()
    check(try stuck.event.wait(until: .now), "not set")
}

/// While one green thread waits in each of the ways, another one ticks.
private func runBesideWaits() throws {
    let stuck = try Stuck()
    let waiters = stuck.waits.map { name, wait in
        spawn(name: name) { try wait(.after(.milliseconds(200))) }
    }
    var ticks = 0
    while waiters.contains(where: { !$0.hasEnded }) {
        ticks += 1
        try Greenlet.sleep(for: .milliseconds(2))
    }
    check(ticks > 20, "\(ticks) ticks beside the waits")
    for waiter in waiters { check(try !waiter.value(), "\(waiter.name ?? "?") came to an end") }
    stuck.end()
    // And each of them is woken.
    let again = stuck.waits.filter { $0.name != "joinTasks" }.map { name, wait in
        spawn(name: name) { try wait(.after(.seconds(20))) }
    }
    try Greenlet.yield()
    stuck.event.set()
    let helper = fork {
        for number in 0..<2 { try stuck.empty.put(number) }
        check(try stuck.full.take(until: .after(.seconds(20))) == 1, "not the first")
    }
    for waiter in again { check(try waiter.value(), "\(waiter.name ?? "?") was not woken") }
    expectSuccess([helper])
}

private func killWaits() throws {
    let stuck = try Stuck()
    defer { stuck.end() }
    let waiters = stuck.waits.map { name, wait in spawn(name: name) { try wait(.never) } }
    try Greenlet.sleep(for: .milliseconds(20))
    for waiter in waiters {
        waiter.kill()
        try waiter.join(until: .after(.seconds(10)))
        check(waiter.hasEnded, "\(waiter.name ?? "?") goes on after its kill")
        do {
            _ = try waiter.value()
            fail("\(waiter.name ?? "?") came to an end")
        } catch { check(error is GreenletExit || error as? WaitError == .cancelled, "\(error)") }
    }
    check(stuck.full.count == 1, "an element was put")
    // One that is killed before it waits.
    let lock = try SharedLock()
    var ran = false
    let greenlet = spawn {
        defer { try? lock.withLock { _ in ran = true } }
        try Greenlet.sleep(for: .seconds(60))
    }
    try Greenlet.yield()
    greenlet.kill()
    try greenlet.join()
    check(!ran, "a killed green thread took a lock")
}

private func limitWaits() throws {
    let stuck = try Stuck()
    defer { stuck.end() }
    for (name, wait) in stuck.waits {
        do {
            _ = try withTimeout(.milliseconds(20)) { try wait(.never) }
            fail("\(name) came to an end")
        } catch is TimedOut {}
    }
}

private func expectClosed(line: UInt = #line, _ body: () throws -> Void) {
    do {
        try body()
        fail("line \(line): a closed queue goes on")
    } catch {
        check(error as? WaitError == .closed, "\(error)", line: line)
    }
}

/// `shutDown` in one process ends the waits of the others.
private func closeQueues() throws {
    for isOnHub in [true, false] {
        let (empty, full) = (try SharedQueue<Int>(limit: 2), try SharedQueue<Int>(limit: 2))
        let counters = try SharedCounters(count: 1)
        for number in 0..<2 { try full.put(number) }
        func child(_ body: @escaping () throws -> Void) -> pid_t {
            fork {
                if isOnHub { _ = Hub.current }
                counters.add(to: 0)
                try body()
            }
        }
        let children = [
            child { check(try empty.next() == nil, "an element from nowhere") },
            child {
                expectClosed { _ = try empty.take() }
            },
            child {
                expectClosed { _ = try full.put(2) }
            },
            child { check(try full.joinTasks(until: .after(.seconds(20))), "tasks are left") },
        ]
        wait("all have begun") { counters[0] == children.count }
        try Greenlet.sleep(for: .milliseconds(30))
        empty.shutDown()
        full.shutDown()
        check(empty.isShutDown && full.isShutDown && full.isFull && empty.isEmpty, "not shut down")
        expectClosed { _ = try full.tryPut(2) }
        // What is in it is there to be taken.
        check(try full.take() == 0, "the first is gone")
        full.taskDone()
        full.shutDown(atOnce: true)
        check(try full.next() == nil && full.unfinishedTasks == 0, "not dropped")
        expectSuccess(children)
    }
}

/// What is left by a process that was killed with it.
private func meetDeaths() throws {
    for isOnHub in [false, true] {
        if isOnHub { _ = Hub.current }
        let stuck = try Stuck()
        let (lock, semaphore) = (stuck.lock, stuck.semaphore)
        stuck.end()
        let told = try lock.withLock(until: .after(.seconds(20))) { $0 }
        check(told == .died(stuck.holder), "\(told)")
        let next = try lock.withLock { $0 }
        check(next == .released, "told twice: \(next)")
        check(semaphore.available == 0, "the permit came back by itself")
        check(try semaphore.acquire(until: .after(.seconds(20))), "the permit is lost")
        semaphore.release()

        // A consumer dies with one element that it has not done, and another one in the queue.
        let queue = try SharedQueue<Int>(limit: 10)
        for number in 1...3 { try queue.put(number) }
        let consumer = fork {
            _ = try queue.take()
            queue.taskDone()
            _ = try queue.take()
            killItself()
        }
        check(end(of: consumer) == .signal(SIGKILL), "not killed")
        check(try !queue.joinTasks(until: .after(.milliseconds(100))), "the third was not taken")
        check(try queue.take() == 3, "not the third")
        queue.taskDone()
        check(try queue.joinTasks(until: .after(.seconds(20))), "waits for a dead consumer")
        check(queue.lostTasks == 1 && queue.unfinishedTasks == 0, "\(queue.lostTasks) lost")

        // A value keeps what was last stored as a whole.
        let value = try SharedValue((1, 1))
        expectKilled(
            fork {
                value.update {
                    $0 = (2, 2)
                    killItself()
                }
            })
        check(value.load() == (1, 1), "\(value.load())")
        value.store((3, 3))
        check(value.load() == (3, 3), "\(value.load())")
        let array = try SharedArray<Int>(count: 2)
        expectKilled(
            fork {
                array.withElements {
                    $0[0] = 1
                    killItself()
                }
            })
        check(array.allElements == [1, 0], "\(array.allElements)")
        array[1] = 1
        check(array.allElements == [1, 1], "\(array.allElements)")
    }
}

private func expectKilled(_ pid: pid_t) { check(end(of: pid) == .signal(SIGKILL), "not killed") }

/// Those that are killed while they wait take nothing from those behind them.
private func skipDeadWaiters() throws {
    let (queue, semaphore) = (try SharedQueue<Int>(limit: 1), try SharedSemaphore(1))
    let (lock, event, counters) = (try SharedLock(), try SharedEvent(), try SharedCounters(count: 2))
    try semaphore.acquire()
    func waiters(_ body: @escaping () throws -> Void) -> [pid_t] {
        (0..<6).map { number in
            fork {
                if number % 2 == 0 { _ = Hub.current }
                counters.add(to: 0)
                try body()
                counters.add(to: 1)
            }
        }
    }
    var all: [[pid_t]] = []
    try lock.withLock { _ in
        all = [
            waiters { _ = try queue.take() }, waiters { try semaphore.withPermit {} },
            waiters { try lock.withLock { _ in } }, waiters { try event.wait() },
        ]
        wait("all have begun") { counters[0] == 24 }
        try Greenlet.sleep(for: .milliseconds(50))
        for pid in all.flatMap({ $0.prefix(4) }) {
            kill(pid, SIGKILL)
            expectKilled(pid)
        }
    }
    semaphore.release()
    event.set()
    for number in 0..<2 { try queue.put(number, until: .after(.seconds(20))) }
    expectSuccess(all.flatMap { $0.suffix(2) })
    check(counters[1] == 8, "\(counters[1]) went on")
}

/// A hub that closes takes its waits back, and another hub of the OS thread waits by a bell of its own.
private func closeHubs() throws {
    let queue = try SharedQueue<Int>(limit: 1)
    for number in 0..<5 {
        let killed = spawn { try queue.take() }
        try Greenlet.sleep(for: .milliseconds(5))
        Hub.current.close()
        check(killed.hasEnded, "goes on after its hub")
        let taker = spawn { try queue.take(until: .after(.seconds(20))) }
        try Greenlet.yield()
        let child = fork { try queue.put(number) }
        check(try taker.value() == number, "another element")
        expectSuccess([child])
    }
}
