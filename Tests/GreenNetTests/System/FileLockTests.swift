import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct FileLockTests {
    @Test func `one holds the lock at a time, and the others wait`() throws {
        try onHub {
            try withTemporaryPath("lock") { path in
                var (inside, most, done) = (0, 0, 0)
                try withGreenGroup { group in
                    for _ in 0..<5 {
                        group.spawn {
                            try withFileLock(path) {
                                inside += 1
                                most = max(most, inside)
                                try Greenlet.sleep(for: .milliseconds(2))
                                inside -= 1
                                done += 1
                            }
                        }
                    }
                }
                #expect(most == 1 && done == 5)
            }
        }
    }

    @Test func `a deadline names the process that holds the lock`() throws {
        try onHub {
            try withTemporaryPath("lock") { path in
                try withFileLock(path) {
                    for deadline in [Deadline.now, .after(.milliseconds(30))] {
                        let error = #expect(throws: FileLockError.self) { try withFileLock(path, until: deadline) {} }
                        #expect(error?.isTimeout == true)
                        #expect(error?.holder == getpid())
                        #expect(
                            error?.description.hasPrefix(
                                "cannot lock \(path): deadline passed, held by process \(getpid()) (") == true)
                    }
                    let limited = #expect(throws: TimedOut.self) {
                        try withTimeout(.milliseconds(10)) { try withFileLock(path) {} }
                    }
                    #expect(limited != nil)
                }
                try withFileLock(path, until: .now) {}
            }
        }
    }

    @Test func `a kill ends the wait, and a body that throws releases the lock`() throws {
        try onHub {
            try withTemporaryPath("lock") { path in
                struct Failure: Error {}
                try withFileLock(path) {
                    let waiter = spawn { try withFileLock(path) {} }
                    try waiter.waitUntilParked()
                    waiter.kill()
                    try waiter.join()
                    #expect(waiter.failure?.isCancellation == true)
                }
                #expect(throws: Failure.self) { try withFileLock(path) { throw Failure() } }
                try #expect(withFileLock(path, until: .now) { 7 } == 7)
            }
        }
    }

    @Test func `the lock of a process that is killed is free, and until then it is named`() throws {
        try onHub {
            try withTemporaryPath("lock") { path in
                try withChild("flock", [path, "sh", "-c", "echo locked; exec sleep 600"], options: .init(group: .own)) {
                    child in
                    try #expect(LineReader(child.output).next() == "locked")
                    let error = #expect(throws: FileLockError.self) { try withFileLock(path, until: .now) {} }
                    #expect(error?.holder == child.pid)
                    let waiter = spawn { try withFileLock(path, until: .after(.seconds(20))) { true } }
                    try waiter.waitUntilParked()
                    child.sendToGroup(SIGKILL)
                    try #expect(waiter.value())
                }
            }
        }
    }

    @Test func `a file that was removed while one waited is no lock any more`() throws {
        try onHub {
            try withTemporaryPath("lock") { path in
                let waiter = try withFileLock(path) {
                    let waiter = spawn { try withFileLock(path) { access(path, F_OK) == 0 } }
                    try waiter.waitUntilParked()
                    unlink(path)
                    return waiter
                }
                try #expect(waiter.value())
            }
        }
    }

    @Test func `a path that can't be opened is an error`() throws {
        try onHub {
            let error = #expect(throws: FileError.self) { try withFileLock("/none/lock") {} }
            #expect(error?.description == "cannot open /none/lock: no such file or directory (ENOENT)")
        }
    }

    @Test func `a line of the kernel's table is read, and one of a process that waits is not`() {
        let line = LockLine("3: FLOCK  ADVISORY  WRITE 4711 fe:01:131080 0 EOF")
        #expect(line?.holder == 4711 && line?.major == 254 && line?.minor == 1 && line?.file == 131_080)
        #expect(LockLine("3: -> FLOCK  ADVISORY  WRITE 4711 fe:01:131080 0 EOF") == nil)
        #expect(LockLine("1: OFDLCK ADVISORY  WRITE -1 fe:01:131080 0 EOF") == nil)
        #expect(LockLine("") == nil)
    }
}
