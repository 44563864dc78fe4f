import Glibc
import GreenNet

/// What a worker is asked to do in the programs about ends.
enum Deed: Codable {
    case answer(Int)
    case end(signal: Int32)
    case exit(Int32)
    case trap
    case burn
    case fail(String)
    case failAtLength(Int)
    /// Ends, while a process that it has started has all its descriptors still.
    case endBehindChild
    case closeDescriptors
    case mark(String)
    case nap(milliseconds: Int32)

    func run(_ journal: Journal?) throws -> Int {
        switch self {
        case .answer(let number): return number
        case .end(let number): kill(getpid(), number)
        case .exit(let status): Glibc._exit(status)
        case .trap: print([Int]()[Int(getpid())])
        case .burn: ProcessPrograms.burnForEver()
        case .fail(let text): throw Words(text: text)
        case .failAtLength(let count): throw Words(text: String(repeating: "é", count: count))
        case .endBehindChild:
            // By hand: all of this library's ways close what the child has no business with.
            for number in 3..<Int32(256) { _ = fcntl(number, F_SETFD, 0) }
            if vforkSleep() < 0 { return -1 }
            kill(getpid(), SIGKILL)
        case .closeDescriptors:
            for number in 3..<Int32(256) { close(number) }
            ProcessPrograms.burnForEver()
        case .nap(let milliseconds):
            poll(nil, 0, milliseconds)
            return Int(getpid())
        case .mark(let text): journal!.write(text)
        }
        return -1
    }
}

extension ProcessPrograms {
    static func burnForEver() -> Never { burn() }
}

struct Words: Error, CustomStringConvertible {
    let text: String
    var description: String { text }
}

/// A process with all descriptors of this one that are not closed on exec.
func vforkSleep() -> Int32 {
    var pid = pid_t()
    var words: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("1000"), nil]
    return posix_spawnp(&pid, "sleep", nil, nil, &words, environ) == 0 ? pid : -1
}

private func deeds(_ limit: Int, frameLimit: Int = 1 << 20, _ journal: Journal? = nil) throws -> ProcessPool<Deed, Int>
{
    try ProcessPool(limit: limit, frameLimit: frameLimit) { try $0.run(journal) }
}

/// Ends of workers and of calls, each as the table in the documentation says.
let endPrograms = [
    // That call is told, with the exit; the worker is replaced; others notice nothing.
    ProcessProgram("pool-died") {
        let pool = try deeds(2)
        let ends: [(Deed, ChildProcess.Exit)] = [
            // No SIGSEGV: a sanitizer would take it.
            (.end(signal: SIGKILL), .signal(SIGKILL)), (.end(signal: SIGXCPU), .signal(SIGXCPU)),
            (.exit(0), .status(0)), (.exit(3), .status(3)),
        ]
        for (deed, exit) in ends {
            let before = pool.workers
            let other = pool.submit(.answer(1))
            let error = expect(WorkerDied.self) { _ = try pool.call(deed) }
            check(error.exit == exit && before.contains(error.pid), "\(error) after \(deed)")
            check(try other.value() == 1, "another call was disturbed")
            check(try pool.call(.answer(2)) == 2, "no answer after \(deed)")
            try eventually("the worker is replaced") { pool.workers.count == 2 && !pool.workers.contains(error.pid) }
        }
        let trap = expect(WorkerDied.self) { _ = try pool.call(.trap) }
        check([.signal(SIGILL), .signal(SIGTRAP), .signal(SIGABRT)].contains(trap.exit), "\(trap)")
        check(
            "\(WorkerDied(pid: 7, exit: .signal(9)))" == "worker process 7 has ended before it answered: signal 9",
            "text")
        pool.close()
        check(!hasChildren, "a worker is left")
    },
    // Though a process of the worker's holds its socket open: the end is seen by the process, not by the stream.
    ProcessProgram("pool-died-behind-child") {
        let pool = try deeds(1)
        let error = expect(WorkerDied.self) { _ = try pool.call(.endBehindChild) }
        check(error.exit == .signal(SIGKILL), "\(error)")
        check(try pool.call(.answer(2)) == 2, "no answer")
        pool.close()
    },
    // A worker that closes its socket and lives is killed, and its call is told.
    ProcessProgram("pool-broken-worker") {
        let pool = try deeds(1)
        let error = expect(WorkerDied.self) { _ = try pool.call(.closeDescriptors) }
        check(error.exit == .signal(SIGKILL) && !isRunning(error.pid), "\(error)")
        check(try pool.call(.answer(2)) == 2, "no answer")
        pool.close()
    },
    // An idle worker that ends is replaced, and no call is told.
    ProcessProgram("pool-idle-died") {
        let pool = try deeds(3)
        for round in 0..<5 {
            try eventually("all are ready") {
                Set(try pool.map(Array(repeating: .nap(milliseconds: 10), count: 3))).count == 3
            }
            let before = pool.workers
            for worker in before { kill(worker, SIGKILL) }
            // They have ended, and the hub can't have seen it.
            while before.contains(where: isRunning) { poll(nil, 0, 1) }
            check(try pool.call(.answer(round)) == round, "no answer in round \(round)")
            try eventually("all are replaced") { pool.workers.count == 3 }
            check(Set(pool.workers).isDisjoint(with: before), "\(pool.workers) after \(before)")
        }
        pool.close()
    },
    ProcessProgram("pool-errors") {
        let pool = try deeds(1, frameLimit: 100)
        let worker = pool.workers
        let error = expect(WorkerError.self) { _ = try pool.call(.fail("no such number: 7")) }
        check(error == WorkerError(description: "no such number: 7"), "\(error)")
        let long = expect(WorkerError.self) { _ = try pool.call(.failAtLength(70_000)) }
        check(long.description == String(repeating: "é", count: 32_768), "\(long.description.count) characters")
        check(pool.workers == worker, "the worker has another id")
        // A request that is too long reaches no worker; an answer that is too long leaves the worker.
        let request = expect(ValueError.self) { _ = try pool.call(.mark(String(repeating: "a", count: 100))) }
        check(request == .tooLong(limit: 100), "\(request)")
        pool.close()
        let bytes = try ProcessPool(limit: 1, frameLimit: 10) { (count: Int) in [UInt8](repeating: 1, count: count) }
        check(try bytes.call(10).count == 10, "the limit itself")
        let answer = expect(WorkerError.self) { _ = try bytes.call(11) }
        check(answer.description == "the value takes more than 10 bytes", "\(answer)")
        check(try bytes.call(9).count == 9, "after an answer that was too long")
        bytes.close()
    },
    // A deadline, a kill and a time limit end the worker, for nothing else stops what it computes.
    ProcessProgram("pool-deadline") {
        let pool = try deeds(1)
        _ = try pool.call(.answer(0))
        let first = pool.workers[0]
        check(
            expect(WaitError.self) { _ = try pool.call(.burn, until: .after(.milliseconds(30))) } == .deadlinePassed, ""
        )
        check(try pool.call(.answer(1)) == 1 && !isRunning(first), "process \(first) computes on")
        let second = pool.workers[0]
        expect(TimedOut.self) { try withTimeout(.milliseconds(30)) { _ = try pool.call(.burn) } }
        check(try pool.call(.answer(2)) == 2 && !isRunning(second), "process \(second) computes on")
        let third = pool.workers[0]
        let call = pool.submit(.burn)
        try Greenlet.sleep(for: .milliseconds(20))
        call.kill()
        try call.join()
        check(call.state == .killed, "\(call.state)")
        check(try pool.call(.answer(3)) == 3 && !isRunning(third), "process \(third) computes on")
        check(Set([first, second, third] + pool.workers).count == 4, "ids")
        pool.close()
        check(!hasChildren, "a worker is left")
    },
    // A call that waits for a worker, and is ended before it has one, is never run, and costs no worker.
    ProcessProgram("pool-withdrawn") {
        let journal = Journal()
        defer { journal.remove() }
        let pool = try deeds(1, journal)
        _ = try pool.call(.answer(0))
        let worker = pool.workers
        let busy = spawn { try pool.call(.burn, until: .after(.milliseconds(300))) }
        try Greenlet.yield()
        check(
            expect(WaitError.self) { _ = try pool.call(.mark("late"), until: .after(.milliseconds(10))) }
                == .deadlinePassed, "")
        let killed = pool.submit(.mark("killed"))
        let unbegun = pool.submit(.mark("unbegun"))
        unbegun.kill()
        try Greenlet.yield()
        killed.kill()
        try killed.join()
        check(pool.workers == worker, "the worker has ended before its deadline")
        check(expect(WaitError.self) { _ = try busy.value() } == .deadlinePassed, "")
        // A call whose time is over at its start does not begin, though a worker is idle.
        _ = try pool.call(.answer(0))
        let idle = pool.workers
        check(expect(WaitError.self) { _ = try pool.call(.mark("over"), until: .now) } == .deadlinePassed, "")
        let dead = spawn { try pool.call(.mark("dead")) }
        dead.kill()
        try dead.join()
        check(try pool.call(.mark("last")) == -1 && journal.lines == ["last"], "\(journal.lines)")
        check(pool.workers == idle, "a worker has ended")
        pool.close()
    },
    ProcessProgram("pool-close") {
        let descriptors = openDescriptors
        let pool = try deeds(2)
        let calls = [pool.submit(.burn), pool.submit(.burn), pool.submit(.answer(1)), pool.submit(.answer(2))]
        try eventually("two are under way") { pool.workers.count == 2 }
        try Greenlet.sleep(for: .milliseconds(20))
        let workers = pool.workers
        let closers = (0..<2).map { _ in spawn { pool.close() } }
        for call in calls { check(expect(WaitError.self) { _ = try call.value() } == .closed, "a call") }
        try joinAll(closers)
        check(workers.allSatisfy { !isRunning($0) } && !hasChildren, "workers are left")
        check(expect(WaitError.self) { _ = try pool.call(.answer(1)) } == .closed, "a later call")
        check(expect(WaitError.self) { _ = try pool.map([.answer(1)]) } == .closed, "a later map")
        check(pool.workers == [], "\(pool.workers)")
        pool.close()
        try Hub.current.run()
        // The hub has its own.
        check(openDescriptors <= descriptors + 6, "\(openDescriptors) descriptors, first \(descriptors)")
    },
    // Idle workers end by themselves, one that does not is killed; a pool that goes unclosed takes its workers along.
    ProcessProgram("pool-released") {
        var pids: [Int32] = []
        do {
            let pool = try deeds(3)
            _ = try pool.map([.answer(1), .answer(2), .answer(3)])
            pids = pool.workers
        }
        try Hub.current.run()
        check(pids.count == 3 && pids.allSatisfy { !isRunning($0) } && !hasChildren, "\(pids) are left")
    },
    // The hub's end is the pool's.
    ProcessProgram("pool-hub-closes") {
        let pool = try deeds(2)
        let call = pool.submit(.burn)
        try Greenlet.sleep(for: .milliseconds(20))
        Hub.current.close()
        check(call.hasEnded, "the call goes on")
        pool.close()
        check(!hasChildren, "workers are left")
    },
    // Where no worker can begin, calls that wait are told why, and the next ones are tried anew.
    ProcessProgram("pool-prepare-fails") {
        let throwing = try ProcessPool(limit: 2, prepare: { throw Words(text: "no data base") }) { (_: Int) in 0 }
        for _ in 0..<2 {
            let error = expect(WorkerError.self) { _ = try throwing.call(1) }
            check("\(error)" == "the worker's prepare has failed: no data base", "\(error)")
        }
        throwing.close()
        let ending = try ProcessPool(limit: 2, prepare: { Glibc._exit(5) }) { (_: Int) in 0 }
        let calls = (0..<3).map { ending.submit($0) }
        for call in calls {
            check(expect(WorkerDied.self) { _ = try call.value() }.exit == .status(5), "")
        }
        check(ending.workers.count <= 2, "\(ending.workers)")
        ending.close()
        // Only the first processes can't begin: the calls wait for the others.
        let journal = Journal()
        defer { journal.remove() }
        let recovering = try ProcessPool(
            limit: 2,
            prepare: {
                journal.write("begun")
                if journal.lines.count < 4 { throw Words(text: "not yet") }
            }
        ) { (number: Int) in number }
        try eventually("a worker begins") {
            do { return try recovering.call(7) == 7 } catch is WorkerError { return false }
        }
        check(journal.lines.count >= 4, "\(journal.lines)")
        recovering.close()
        check(!hasChildren, "workers are left")
    },
    // A worker that ends while the process has several OS threads can't be forked anew: calls are told, until it can.
    ProcessProgram("pool-threads-later") {
        let pool = try deeds(2)
        _ = try pool.call(.answer(1))
        let thread = try HubThread(name: "other")
        check(try pool.call(.answer(1)) == 1, "no answer beside another OS thread")
        expect(ForkError.self) { _ = try deeds(1) }
        expect(WorkerDied.self) { _ = try pool.call(.exit(1)) }
        check(try pool.call(.answer(2)) == 2, "the other worker gives no answer")
        expect(WorkerDied.self) { _ = try pool.call(.exit(1)) }
        let error = expect(ForkError.self) { _ = try pool.call(.answer(3)) }
        check(error == .severalThreads(2), "\(error)")
        check(pool.workers == [], "\(pool.workers)")
        _ = try thread.stop()
        try eventually("the workers are back") {
            do { return try pool.call(.answer(4)) == 4 } catch is ForkError { return false }
        }
        pool.close()
    },
    // Workers that end at once are begun anew after pauses that grow, not in a circle.
    ProcessProgram("pool-backs-off") {
        let journal = Journal()
        defer { journal.remove() }
        let pool = try ProcessPool(
            limit: 1,
            prepare: {
                journal.write("begun")
                Glibc._exit(1)
            }
        ) { (_: Int) in 0 }
        try Greenlet.sleep(for: .milliseconds(700))
        // 10, 20, 40, ... ms: the eighth pause ends after 1.27 s.
        let count = journal.lines.count
        check((2...8).contains(count), "\(count) starts")
        pool.close()
    },
]
