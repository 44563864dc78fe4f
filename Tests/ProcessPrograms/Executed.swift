import Glibc
import GreenNet

// Functions that the program's worker processes run by name.
let doubled = WorkerFunction("doubled") { (number: Int) in number * 2 }
let failing = WorkerFunction("failing") { (text: String) -> Int in throw Words(text: text) }
let unprepared = WorkerFunction("unprepared", prepare: { throw Words(text: "no") }) { (number: Int) in number }
/// Of the process that runs it: its ids, its OS threads, its descriptors, and what it finds in the environment.
let asking = WorkerFunction("asking") { (name: String) -> [String] in
    if name == "burn" { burn() }
    let descriptors = (0..<256).filter { isOpen($0) }.map { "\($0)" }.joined(separator: " ")
    return [
        "\(getpid())", "\(osThreads)", descriptors, getenv("GREENNET_WORKER") == nil ? "clean" : "set",
        "\(fcntl(3, F_GETFD))", "\(getppid())",
    ]
}
private let unserved = WorkerFunction("unserved") { (number: Int) in number }

/// Workers that are the program executed anew.
let executedPrograms = [
    ProcessProgram("pool-executed") {
        // From a process with several OS threads, and from another one than the first.
        let thread = try HubThread(name: "pool")
        let threads = osThreads
        let answers = try thread.remote.result(of: {
            let pool = try ProcessPool(limit: 2, running: doubled)
            defer { pool.close() }
            return try pool.map(0..<100)
        }).value()
        check(answers == (0..<100).map { $0 * 2 }, "\(answers)")
        let pool = try ProcessPool(limit: 3, callsPerWorker: 2, running: asking)
        let seen = try pool.map(Array(repeating: "", count: 12))
        check(Set(seen.map { $0[0] }).count >= 6, "renewed less often than each two calls")
        for answer in seen {
            check(answer[1] == "1", "a worker has \(answer[1]) OS threads")
            check(answer[3] == "clean" && answer[4] == "\(FD_CLOEXEC)", "a worker's children are workers: \(answer)")
            check(answer[2].split(separator: " ").count <= 8, "descriptors \(answer[2])")
            check(answer[5] == "\(getpid())", "a worker is no child of this process")
        }
        let worker = pool.workers
        check(
            expect(WaitError.self) { _ = try pool.call("burn", until: .after(.milliseconds(50))) } == .deadlinePassed,
            "")
        check(try pool.call("").count == 6, "no answer after a deadline")
        try eventually("a worker is replaced") { pool.workers.count == 3 && pool.workers != worker }
        check(osThreads == threads, "\(osThreads) OS threads, \(threads) before")
        pool.close()
        _ = try thread.stop()
        check(!hasChildren, "workers are left")
    },
    ProcessProgram("pool-executed-errors") {
        let bad = try ProcessPool(limit: 2, running: failing)
        check(expect(WorkerError.self) { _ = try bad.call("é") } == WorkerError(description: "é"), "")
        bad.close()
        let none = try ProcessPool(limit: 1, running: unprepared)
        check("\(expect(WorkerError.self) { _ = try none.call(1) })" == "the worker's prepare has failed: no", "")
        none.close()
        let unknown = try ProcessPool(limit: 1, running: unserved)
        let error = expect(WorkerError.self) { _ = try unknown.call(1) }
        check(
            "\(error)".hasSuffix(
                "the program serves no WorkerFunction named unserved; it serves doubled, failing, unprepared, asking"),
            "\(error)")
        unknown.close()
        check(!hasChildren, "workers are left")
    },
    // A worker that has ended tells its call, and is replaced.
    ProcessProgram("pool-executed-died") {
        let pool = try ProcessPool(limit: 1, running: asking)
        _ = try pool.call("")
        let worker = pool.workers[0]
        let call = pool.submit("burn")
        try Greenlet.sleep(for: .milliseconds(20))
        kill(worker, SIGKILL)
        check(expect(WorkerDied.self) { _ = try call.value() } == WorkerDied(pid: worker, exit: .signal(SIGKILL)), "")
        check(try pool.call("")[0] != "\(worker)", "the same worker")
        pool.close()
    },
]

/// Mistakes that are made in a child, or that need one.
let mistakePrograms = [
    ProcessProgram("mistake-status") {
        let child = try ForkedChild { 256 }
        guard case .signal = try child.wait() else { fail("\(String(describing: child.exit))") }
    },
    ProcessProgram("mistake-wait-in-child") {
        let other = try ForkedChild { burn() }
        let child = try ForkedChild {
            _ = try other.wait()
            return 0
        }
        guard case .signal = try child.wait() else { fail("\(String(describing: child.exit))") }
        check(other.isAlive, "the other has ended")
    },
    ProcessProgram("mistake-pool-in-child") {
        let pool = try ProcessPool(limit: 1) { (number: Int) in number }
        let child = try ForkedChild {
            _ = try pool.call(1)
            return 0
        }
        guard case .signal = try child.wait() else { fail("\(String(describing: child.exit))") }
        check(try pool.call(2) == 2, "the pool is of no use any more")
        pool.close()
    },
]
