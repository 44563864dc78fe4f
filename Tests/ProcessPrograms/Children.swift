@preconcurrency import Glibc
import GreenNet

/// What a `ForkedChild` does.
let childPrograms = [
    ProcessProgram("child-status") {
        for status: Int32 in [0, 7, 255] {
            let exit = try ForkedChild { status }.wait()
            check(exit == .status(status), "\(exit), not status \(status)")
        }
        let failed = try ForkedChild { throw WorkerLikeError() }
        check(try failed.wait() == .status(1), "an error gives \(String(describing: failed.exit))")
        let killed = try ForkedChild { burn() }
        check(killed.isAlive && killed.exit == nil, "it has ended with \(String(describing: killed.exit))")
        check(expect(WaitError.self) { try killed.wait(until: .after(.milliseconds(10))) } == .deadlinePassed, "error")
        killed.kill()
        check(try killed.wait() == .signal(SIGKILL) && !killed.isAlive, "\(String(describing: killed.exit))")
        check(try killed.wait(until: .now) == .signal(SIGKILL), "a second wait differs")
        check(!hasChildren, "a child was not collected")
    },
    ProcessProgram("child-leaves-group") {
        let (told, blocked) = pipe()
        let child = try ForkedChild(keeping: [blocked], endsGroup: true) {
            check(setpgid(0, getpgid(getppid())) == 0, "it can't leave its group: \(errno)")
            passByte(blocked)
            burn()
        }
        awaitByte(told)
        child.kill()
        check(try child.wait(until: .after(.seconds(20))) == .signal(SIGKILL), "\(String(describing: child.exit))")
    },
    // The course's figures: `terminate()`, and `is_alive()` is true, and a moment later false.
    ProcessProgram("child-terminate") {
        let (go, tell) = pipe()
        let (told, blocked) = pipe()
        let child = try ForkedChild(keeping: [go, blocked]) {
            // A signal that is blocked leaves it alive until it is ready to end.
            var term = sigset_t()
            sigemptyset(&term)
            sigaddset(&term, SIGTERM)
            sigprocmask(SIG_BLOCK, &term, nil)
            passByte(blocked)
            awaitByte(go)
            sigprocmask(SIG_UNBLOCK, &term, nil)
            return 0
        }
        awaitByte(told)
        child.terminate()
        check(child.isAlive, "it is not alive right after terminate()")
        passByte(tell)
        check(try child.wait() == .signal(SIGTERM) && !child.isAlive, "\(String(describing: child.exit))")
    },
    // Four processes, four joins: all the time is that of the longest.
    ProcessProgram("child-joins") {
        let children = try (1...4).map { number in
            try ForkedChild {
                poll(nil, 0, Int32(number) * 20)
                return Int32(number)
            }
        }
        let ended = try joinAll(children)
        check(ended.count == 4, "\(ended.count) have ended")
        check(children.map { $0.exit } == (1...4).map { .status(Int32($0)) }, "\(children.map { $0.exit })")
        let late = try ForkedChild { burn() }
        let early = try ForkedChild { 0 }
        check(try waitAny([late, early]) === early, "the first to end is not the first")
    },
    ProcessProgram("child-memory") {
        var number = 1
        let child = try ForkedChild {
            number += 1
            return Int32(number)
        }
        check(try child.wait() == .status(2) && number == 1, "the parent has \(number)")
    },
    ProcessProgram("child-descriptors") {
        let (kept, other) = pipe()
        let child = try ForkedChild(keeping: [kept]) {
            check(isOpen(0) && isOpen(1) && isOpen(2) && isOpen(kept), "one of those named is closed")
            check(!isOpen(other), "one that was not named is open")
            check(openDescriptors == 4, "\(openDescriptors) are open")
            return 0
        }
        check(try child.wait() == .status(0), "\(String(describing: child.exit))")
    },
    // A child has a hub of its own; the parent's green threads and time limits are not in it.
    ProcessProgram("child-hub") {
        let other = spawn { try Greenlet.sleep(for: .seconds(100)) }
        let child = try spawn {
            try withTimeout(.seconds(30)) {
                try ForkedChild {
                    check(Hub.current.statistics.greenThreads == 0, "green threads of the parent's are there")
                    let green = spawn {
                        try Greenlet.sleep(for: .milliseconds(1))
                        return 5
                    }
                    return Int32(try green.value())
                }
            }
        }.value()
        check(try child.wait() == .status(5), "\(String(describing: child.exit))")
        check(!other.hasEnded, "the child has ended a green thread of its parent")
        other.kill()
        try other.join()
    },
    ProcessProgram("child-group") {
        adoptOrphans()
        let (reading, writing) = pipe()
        let child = try ForkedChild(keeping: [writing], endsGroup: true) {
            var grandchild = startSleeper()
            _ = write(writing, &grandchild, 4)
            return 0
        }
        check(child.endsGroup, "it has no group")
        var grandchild: Int32 = 0
        _ = read(reading, &grandchild, 4)
        check(try child.wait() == .status(0), "\(String(describing: child.exit))")
        var status: Int32 = 0
        check(waitpid(grandchild, &status, 0) == grandchild, "the grandchild is not there")
        check(status & 0x7f == SIGKILL, "the grandchild has ended with \(status)")
    },
    ProcessProgram("child-without-handle") {
        var pid: Int32 = 0
        do { pid = try ForkedChild { burn() }.pid }
        check(!hasChildren && !isRunning(pid), "the child outlives its handle")
        // In a child, the handle of another one goes without an effect.
        var other: ForkedChild? = try ForkedChild { burn() }
        let child = try ForkedChild {
            other!.kill()
            other = nil
            return 0
        }
        check(try child.wait() == .status(0), "\(String(describing: child.exit))")
        check(other!.isAlive, "a child has ended its parent's other child")
    },
    ProcessProgram("child-threads") {
        check(try Hub.current.offload { 1 } == 1, "no answer")
        // The offload pool's idle OS thread is ended first.
        check(try ForkedChild { Int32(osThreads) }.wait() == .status(1), "a child has more than one OS thread")
        check(osThreads == 1, "\(osThreads) OS threads are left")
        let thread = try HubThread(name: "other")
        let error = expect(ForkError.self) { _ = try ForkedChild { 0 } }
        check(error == .severalThreads(2), "\(error)")
        check(
            "\(error)"
                == "cannot fork a process that has 2 OS threads: the child would have one of them, with all that the others hold locked",
            "\(error)")
        check(!hasChildren, "a child was made")
        _ = try thread.stop()
        check(try ForkedChild { 0 }.wait() == .status(0), "after that OS thread's end")
    },
    ProcessProgram("child-output") {
        setvbuf(stdout, nil, Int32(_IOFBF), 4096)
        print("parent, before")
        check(
            try ForkedChild {
                print("child")
                return 0
            }.wait() == .status(0), "status")
        print("parent, after")
    },
    // Prints the ids of its children, and waits for its own end.
    ProcessProgram("child-parent-killed") {
        let child = try ForkedChild { burn() }
        let pool = try ProcessPool(limit: 2) { (_: Int) -> Int in burn() }
        let calls = [pool.submit(1), pool.submit(2)]
        try Greenlet.yield()
        let executed = try ProcessPool(limit: 2, running: doubled)
        check(try executed.call(2) == 4, "no answer")
        print(([child.pid] + pool.workers + executed.workers).map { "\($0)" }.joined(separator: " "))
        _ = try calls[0].value()
    },
]

struct WorkerLikeError: Error {}

func pipe() -> (Int32, Int32) {
    var ends: [Int32] = [-1, -1]
    check(Glibc.pipe(&ends) == 0, "no pipe")
    return (ends[0], ends[1])
}

func passByte(_ writing: Int32) {
    var byte: UInt8 = 1
    check(write(writing, &byte, 1) == 1, "no write")
}

/// Blocks until the other side has passed.
func awaitByte(_ reading: Int32) {
    var byte: UInt8 = 0
    check(read(reading, &byte, 1) == 1, "no read")
}

/// A child of a child, that nothing but a signal ends.
func startSleeper() -> Int32 {
    let start = ProgramStart(["sleep", "1000"], environment: ownEnvironment)
    do { return try start.start() } catch { fail("no sleep: \(error)") }
}
