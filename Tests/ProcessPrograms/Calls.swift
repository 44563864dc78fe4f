import Glibc
import GreenNet

/// A request of several parts, as the programs of users have them.
struct Order: Codable, Equatable {
    var number: Int
    var name: String
    var weights: [Double]
    var parts: [String: UInt8]
    var note: String?
    var next: [Order]
}

/// The time of one task, and the tasks' beginnings and ends by the monotonic clock, which all processes share.
struct Span: Codable {
    let begin, end: Int64
    let pid: Int32
}

/// Does nothing for `milliseconds`, as the course's tasks that sleep.
func task(_ milliseconds: Int) -> Span {
    let begin = Deadline.now.nanoseconds
    poll(nil, 0, Int32(milliseconds))
    return Span(begin: begin, end: Deadline.now.nanoseconds, pid: getpid())
}

/// Of this process, in microseconds.
func processorTime() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return time.tv_sec * 1_000_000 + time.tv_nsec / 1000
}

/// How many of them were under way at a time, at most.
func width(_ spans: [Span]) -> Int {
    spans.map { one in spans.count { $0.begin <= one.begin && one.begin < $0.end } }.max() ?? 0
}

/// What calls do that nothing disturbs.
let callPrograms = [
    // Six clients and four processes: two wait, and the process ids are always the same four.
    ProcessProgram("pool-six-clients") {
        let pool = try ProcessPool(limit: 4) { task($0) }
        let pids = Set(pool.workers)
        check(pids.count == 4 && !pids.contains(getpid()), "workers \(pids)")
        var seen: Set<Int32> = []
        try warmUp(pool)
        for _ in 0..<3 {
            let clients = (0..<6).map { _ in pool.submit(100) }
            let spans = try clients.map { try $0.value() }
            check(width(spans) == 4, "\(width(spans)) at a time")
            let first = spans.map(\.begin).sorted()
            check(first[4] >= spans.map(\.end).min()!, "the fifth did not wait for the first's end")
            seen.formUnion(spans.map(\.pid))
        }
        check(seen == pids && Set(pool.workers) == pids, "process ids \(seen), workers \(pool.workers), first \(pids)")
        check(osThreads == 1, "\(osThreads) OS threads")
        pool.close()
        check(!hasChildren && pids.allSatisfy { !isRunning($0) }, "processes are left")
    },
    // A worker looks for its next call for some microseconds only, and its pool for the answer.
    ProcessProgram("pool-idle-time") {
        let pool = try ProcessPool(limit: 1) { (_: Int) in processorTime() }
        for _ in 0..<200 { _ = try pool.call(0) }
        let (worker, own) = (try pool.call(0), processorTime())
        try Greenlet.sleep(for: .milliseconds(300))
        for number in 0..<100 {
            try Greenlet.sleep(for: .milliseconds(2))
            _ = try pool.call(number)
        }
        let used = (worker: try pool.call(0) - worker, own: processorTime() - own)
        check(used.worker < 100_000 && used.own < 200_000, "\(used) microseconds")
        pool.close()
    },
    // Ten tasks of one unit by three processes take four units.
    ProcessProgram("pool-ten-by-three") {
        let unit = 100
        let pool = try ProcessPool(limit: 3) { task($0) }
        try warmUp(pool)
        let spans = try pool.map(Array(repeating: unit, count: 10))
        check(width(spans) == 3, "\(width(spans)) at a time")
        let begin = spans.map(\.begin).min()!
        // In which unit each begins: the least that is possible, whatever else the machine does.
        let units = spans.map { ($0.begin - begin) / Int64(unit * 1_000_000) }.sorted()
        check(units.last! >= 3, "the last begins in unit \(units.last!)")
        let order = spans.sorted { $0.begin < $1.begin }
        for index in 3..<10 {
            let ended = order.count { $0.end <= order[index].begin }
            check(ended >= index - 2, "task \(index) began when \(ended) had ended")
        }
        pool.close()
    },
    // `apply`: one call at a time, and the answers in order.
    ProcessProgram("pool-one-at-a-time") {
        let pool = try ProcessPool(limit: 4) { task($0) }
        let spans = try (0..<10).map { _ in try pool.call(5) }
        check(width(spans) == 1, "\(width(spans)) at a time")
        check(zip(spans, spans.dropFirst()).allSatisfy { $0.end <= $1.begin }, "out of order")
        pool.close()
    },
    // Ten squares, in order, whichever ends first.
    ProcessProgram("pool-map-order") {
        let pool = try ProcessPool(limit: 3) { (number: Int) in
            poll(nil, 0, Int32(10 - number))
            return number * number
        }
        check(try pool.map(0..<10) == (0..<10).map { $0 * $0 }, "the squares differ")
        check(try pool.map(EmptyCollection()) == [], "the map of nothing")
        var taken = 0
        let counted = AnySequence<Int> {
            AnyIterator {
                taken += 1
                return taken < 100 ? taken : nil
            }
        }
        let error = expect(WorkerError.self) {
            let picky = try ProcessPool(limit: 2) { (number: Int) in
                if number == 5 { throw Refusal(number: number) }
                poll(nil, 0, 20)
                return number
            }
            defer { picky.close() }
            _ = try picky.map(counted)
        }
        check("\(error)" == "Refusal(number: 5)", "\(error)")
        check(taken <= 7, "\(taken) requests were taken for 5 that began before the error")
        pool.close()
    },
    // First come, first served: the calls begin in the order in which they were made.
    ProcessProgram("pool-first-come") {
        let journal = Journal()
        defer { journal.remove() }
        let pool = try ProcessPool(limit: 1) { (number: Int) in
            journal.write("\(number)")
            return number
        }
        let calls = (0..<50).map { pool.submit($0) }
        check(try calls.map { try $0.value() } == Array(0..<50), "answers of others")
        check(journal.lines == (0..<50).map { "\($0)" }, "order \(journal.lines)")
        pool.close()
    },
    // Callbacks run in the parent, on green threads that may wait.
    ProcessProgram("pool-callbacks") {
        let pool = try ProcessPool(limit: 3) { (number: Int) -> Int32 in
            if number == 3 { throw Refusal(number: number) }
            return getpid()
        }
        let workers = Set(pool.workers)
        var called: [Int32] = []
        var errors: [String] = []
        var links: [Link] = []
        for number in 0..<6 {
            let call = pool.submit(number)
            links.append(
                call.linkValue { worker in
                    try Greenlet.sleep(for: .milliseconds(1))
                    check(workers.contains(worker), "\(worker) is no worker")
                    called.append(getpid())
                })
            links.append(call.linkError { errors.append("\($0)") })
        }
        try Hub.current.run()
        check(called == Array(repeating: getpid(), count: 5), "callbacks in \(called)")
        check(errors == ["Refusal(number: 3)"], "\(errors)")
        pool.close()
    },
    // A call is something to wait for, beside others.
    ProcessProgram("pool-waitable") {
        let pool = try ProcessPool(limit: 2) { task($0).pid }
        let (slow, fast) = (pool.submit(2000), pool.submit(1))
        check(try waitAny([slow, fast]) === fast, "the first to end is not the first")
        check(!slow.hasEnded, "the other has ended")
        slow.kill()
        try joinAll([slow, fast])
        check(expect(GreenletExit.self) { _ = try slow.value() } == GreenletExit(), "")
        pool.close()
    },
    ProcessProgram("pool-values") {
        let same = try ProcessPool(limit: 2) { (order: Order) in order }
        let leaf = Order(number: .min, name: "é\u{0}\n", weights: [.pi, -0.0, .infinity], parts: ["a": 255], next: [])
        let order = Order(number: .max, name: "", weights: [], parts: [:], note: "n", next: [leaf, leaf])
        check(try same.call(order) == order, "another order comes back")
        same.close()
        let bytes = try ProcessPool(limit: 1) { (bytes: [UInt8]) in bytes.reversed() as [UInt8] }
        for count in [0, 1, 64, 65_535, 65_536, 3_000_000] {
            let request = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            check(try bytes.call(request) == request.reversed(), "\(count) bytes")
        }
        bytes.close()
        let none = try ProcessPool(limit: 1) { (number: Int?) -> Int? in number.map { $0 + 1 } }
        check(try none.call(nil) == nil && none.call(1) == 2, "nil")
        none.close()
    },
    // The worker may use green threads; what a closure has captured is as it was when the pool was made.
    ProcessProgram("pool-green-worker") {
        var offset = 10
        let pool = try ProcessPool(limit: 1) { (numbers: [Int]) in
            let greens = numbers.map { number in
                spawn {
                    try Greenlet.sleep(for: .milliseconds(1))
                    return number + offset
                }
            }
            return try greens.map { try $0.value() }
        }
        offset = 20
        check(try pool.call([1, 2, 3]) == [11, 12, 13], "sums")
        pool.close()
    },
    // It has standard output, an empty input, and none of this process's other descriptors.
    ProcessProgram("pool-descriptors") {
        let (reading, writing) = pipe()
        let pool = try ProcessPool(limit: 2) { (number: Int) -> [Int32] in
            if number < 0 { burn() }
            var byte: UInt8 = 0
            check(read(STDIN_FILENO, &byte, 1) == 0, "the input is not empty")
            return (0..<256).filter { isOpen($0) }
        }
        for _ in 0..<2 {
            let descriptors = try pool.call(0)
            // The three streams, its socket, and what its own hub has.
            check(descriptors.count <= 8, "\(descriptors)")
        }
        // Its last end: else the worker would have another one.
        close(writing)
        var byte: UInt8 = 0
        var question = pollfd(fd: reading, events: Int16(POLLIN), revents: 0)
        check(poll(&question, 1, 0) == 1 && read(reading, &byte, 1) == 0, "a worker has an end of the pipe")
        let before = openDescriptors
        for _ in 0..<5 { expect(WaitError.self) { _ = try pool.call(-1, until: .after(.milliseconds(20))) } }
        try eventually("the workers are replaced") { pool.workers.count == 2 && openDescriptors <= before }
        pool.close()
    },
    ProcessProgram("pool-prepare") {
        let journal = Journal()
        defer { journal.remove() }
        var state = 0
        let pool = try ProcessPool(
            limit: 3,
            prepare: {
                state = 5
                journal.write("\(getpid())")
            }
        ) { (number: Int) in
            state += 1
            return state * 100 + number
        }
        let pids = pool.workers.map { "\($0)" }.sorted()
        _ = try pool.map(Array(repeating: 0, count: 30))
        // The calls may be over before the last worker has had its turn.
        try eventually("each worker has prepared itself") { journal.lines.count >= pids.count }
        check(journal.lines.sorted() == pids, "prepared \(journal.lines), workers \(pids)")
        check(try pool.call(1) > 600, "no state")
        check(state == 0, "the state is the parent's")
        pool.close()
    },
    // After this number of calls a worker ends by itself and is replaced; never more than the limit are there.
    ProcessProgram("pool-renewal") {
        let journal = Journal()
        defer { journal.remove() }
        let pool = try ProcessPool(limit: 1, callsPerWorker: 3, prepare: { journal.write("\(getpid())") }) {
            (_: Int) -> Int32 in getpid()
        }
        let pids = try (0..<9).map { try pool.call($0) }
        check(Set(pids).count == 3, "\(pids)")
        check(pids[0] == pids[2] && pids[3] == pids[5] && pids[6] == pids[8], "\(pids)")
        check(Array(journal.lines.prefix(3)) == [pids[0], pids[3], pids[6]].map { "\($0)" }, "\(journal.lines)")
        pool.close()
        check(!hasChildren, "a worker is left")
        let wide = try ProcessPool(limit: 3, callsPerWorker: 1) { (_: Int) -> Int32 in getpid() }
        let calls = (0..<30).map { wide.submit($0) }
        while !calls.allSatisfy(\.hasEnded) {
            check(wide.workers.count <= 3, "\(wide.workers)")
            try Greenlet.sleep(for: .milliseconds(1))
        }
        check(Set(try calls.map { try $0.value() }).count == 30, "a worker has had two calls")
        wide.close()
    },
    // A pool with idle workers keeps a hub neither from ending nor from seeing that it is stuck.
    ProcessProgram("pool-idle") {
        let pool = try ProcessPool(limit: 2) { (number: Int) in number }
        check(try pool.call(1) == 1, "no answer")
        try Hub.current.run()
        let error = expect(WaitError.self) { try GreenEvent().wait() }
        guard case .blockedForever = error else { fail("\(error)") }
        pool.close()
    },
    // In a fresh process; nothing of it starts an OS thread.
    ProcessProgram("pool-threads") {
        check(osThreads == 1, "\(osThreads) OS threads at the start")
        let pool = try ProcessPool(limit: 2) { (number: Int) in
            if number < 0 { burn() }
            return osThreads
        }
        check(try pool.map([1, 2, 3, 4]) == [1, 1, 1, 1], "a worker has OS threads")
        expect(WaitError.self) { _ = try pool.call(-1, until: .after(.milliseconds(20))) }
        check(osThreads == 1, "\(osThreads) OS threads")
        pool.close()
        check(osThreads == 1, "\(osThreads) OS threads at the end")
    },
]

struct Refusal: Error { let number: Int }

/// Returns when all workers of the pool take calls.
func warmUp(_ pool: ProcessPool<Int, Span>) throws {
    try eventually("all workers are ready") {
        Set(try pool.map(Array(repeating: 10, count: pool.limit)).map(\.pid)).count == pool.limit
    }
}
