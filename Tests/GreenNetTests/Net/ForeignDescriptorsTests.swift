import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct ForeignDescriptorsTests {
    /// Descriptors of each kind that is not readable yet, and what makes it readable.
    enum Kind: CaseIterable {
        case pipe, socket, event, timer, process, terminal, inotify

        func open() throws -> Foreign {
            switch self {
            case .pipe:
                let ends = try SystemCalls.pipe()
                return Foreign(ends.reading, [ends.writing]) { Glibc.write(ends.writing, "x", 1) }
            case .socket:
                let ends = try SystemCalls.socketPair()
                return Foreign(ends.child, [ends.own]) { Glibc.write(ends.own, "x", 1) }
            case .event:
                let number = makeEvent(0, O_CLOEXEC)
                return Foreign(number, []) { writeEvent(number, 1) }
            case .timer:
                let number = Int32(SystemCalls.timer())
                return Foreign(number, []) { SystemCalls.setTimer(number, to: 1) }
            case .process:
                let ends = try SystemCalls.pipe()
                let child = fork()
                if child == 0 {
                    var byte: UInt8 = 0
                    close(ends.writing)
                    _ = read(ends.reading, &byte, 1)
                    _exit(0)
                }
                return Foreign(Int32(SystemCalls.processHandle(child)), [ends.reading], child: child) {
                    close(ends.writing)
                }
            case .terminal:
                let master = openTerminal(O_RDWR | O_NOCTTY | O_CLOEXEC)
                _ = grantTerminal(master)
                _ = unlockTerminal(master)
                let slave = Glibc.open(nameOfTerminal(master), O_RDWR | O_NOCTTY | O_CLOEXEC)
                return Foreign(slave, [master]) { Glibc.write(master, "x\n", 2) }
            case .inotify:
                let directory = "/tmp/greennet-inotify-\(UInt64.random(in: 0 ... .max))"
                mkdir(directory, 0o700)
                let number = inotify_init1(O_CLOEXEC)
                inotify_add_watch(number, directory, UInt32(IN_DELETE_SELF))
                return Foreign(number, []) { rmdir(directory) }
            }
        }
    }

    final class Foreign {
        let number: Int32
        private let others: [Int32]
        private let child: pid_t?
        let fire: () -> Void

        init<R>(_ number: Int32, _ others: [Int32], child: pid_t? = nil, _ fire: @escaping () -> R) {
            (self.number, self.others, self.child) = (number, others, child)
            self.fire = { _ = fire() }
        }

        deinit {
            for descriptor in [number] + others { close(descriptor) }
            if let child { waitpid(child, nil, 0) }
        }
    }

    @Test(arguments: Kind.allCases)
    func `a wait parks until the descriptor is readable, and leaves its flags alone`(kind: Kind) throws {
        try onHub {
            let foreign = try kind.open()
            let flags = fcntl(foreign.number, F_GETFL)
            let waiter = spawn { try waitUntilReadable(foreign.number) }
            try waiter.waitUntilParked()
            foreign.fire()
            try waiter.value()
            #expect(fcntl(foreign.number, F_GETFL) == flags)
            // Not taken away by the wait.
            try waitUntilReadable(foreign.number, until: .now)
        }
    }

    @Test(arguments: Kind.allCases)
    func `a deadline that passes is thrown, and nothing stays open`(kind: Kind) throws {
        try onHub {
            let foreign = try kind.open()
            let error = failure { () throws(NetError) in
                try waitUntilReadable(foreign.number, until: .after(.milliseconds(5)))
            }
            #expect(error?.waitError == .deadlinePassed)
            #expect(error?.description == "cannot wait for descriptor \(foreign.number): deadline passed")
            foreign.fire()
        }
    }

    @Test func `a wait for room ends when the pipe was read`() throws {
        try onHub {
            let ends = try SystemCalls.pipe()
            defer { for end in [ends.reading, ends.writing] { close(end) } }
            _ = SystemCalls.setBlocking(ends.writing, false)
            let bytes = [UInt8](repeating: 0, count: 4096)
            while write(ends.writing, bytes, bytes.count) > 0 {}
            let waiter = spawn { try waitUntilWritable(ends.writing) }
            try waiter.waitUntilParked()
            var room = [UInt8](repeating: 0, count: 65536)
            _ = read(ends.reading, &room, room.count)
            try waiter.value()
        }
    }

    @Test func `a regular file and the ends of a pipe without another side are ready at once`() throws {
        try onHub {
            let file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC)
            defer { close(file) }
            try waitUntilReadable(file, until: .now)
            let ends = try SystemCalls.pipe()
            close(ends.reading)
            defer { close(ends.writing) }
            try waitUntilWritable(ends.writing, until: .now)
        }
    }

    @Test(arguments: [-1, Int32.min, 987_654, Int32.max])
    func `a number that is not open gets EBADF in words`(number: Int32) throws {
        try onHub {
            for wait in [waitUntilReadable, waitUntilWritable] {
                let error = failure { () throws(NetError) in try wait(number, .never) }
                #expect(
                    error?.description == "cannot wait for descriptor \(number): bad file descriptor (EBADF)")
            }
        }
    }

    @Test func `two green threads that wait for one descriptor are both woken, in each direction`() throws {
        try onHub {
            let ends = try SystemCalls.socketPair()
            defer { for end in [ends.own, ends.child] { close(end) } }
            let waiters = (1...2).map { _ in spawn { try waitUntilReadable(ends.child) } }
            for waiter in waiters { try waiter.waitUntilParked() }
            try waitUntilWritable(ends.child, until: .after(.seconds(5)))
            _ = write(ends.own, "x", 1)
            for waiter in waiters { try waiter.value() }
        }
    }

    @Test(arguments: [false, true])
    func `a descriptor that is closed meanwhile is reported within a second, also where its number is reused`(
        isReused: Bool
    ) throws {
        try onHub {
            let ends = try SystemCalls.pipe()
            defer { close(ends.writing) }
            let waiter = spawn { try waitUntilReadable(ends.reading) }
            try waiter.waitUntilParked()
            close(ends.reading)
            let other = isReused ? dup2(ends.writing, ends.reading) : -1
            defer { if other >= 0 { close(other) } }
            let duration = elapsed {
                let error = #expect(throws: NetError.self) { try waiter.value() }
                #expect(error?.errno == SystemError(EBADF))
            }
            #expect(duration < .seconds(1) + slack)
        }
    }

    @Test func `a descriptor that is closed in the turn in which its wait began does not stop the program`() throws {
        try onHub {
            for _ in 0..<20 {
                let ends = try SystemCalls.pipe()
                let waiter = spawn { try waitUntilReadable(ends.reading) }
                try Greenlet.yield()
                close(ends.reading)
                close(ends.writing)
                #expect(throws: NetError.self) { try waiter.value() }
            }
        }
    }

    @Test func `without a descriptor left for the copy, the wait says so`() throws {
        try onHub {
            let ends = try SystemCalls.pipe()
            defer { for end in [ends.reading, ends.writing] { close(end) } }
            let error = try withRoom(forDescriptors: 0) {
                failure { () throws(NetError) in try waitUntilReadable(ends.reading, until: .now) }
            }
            #expect(error?.description == "cannot copy descriptor \(ends.reading): too many open files (EMFILE)")
        }
    }

    @Test func `kills and deadlines at any moment leave nothing behind`() throws {
        try onHub {
            for seed in 0..<UInt64(Sanitizer.scaled(200, address: 50, thread: 50)) {
                var random = SeededRandom(seed: seed)
                let foreign = try Kind.pipe.open()
                let deadline = Deadline.after(.microseconds(Int.random(in: 0...300, using: &random)))
                let waiter = spawn { try waitUntilReadable(foreign.number, until: deadline) }
                let pause = Int.random(in: 0...300, using: &random)
                let fires = Bool.random(using: &random)
                try Greenlet.sleep(for: .microseconds(pause))
                if fires { foreign.fire() } else { waiter.kill() }
                do { try waiter.value() } catch { #expect(error.isTimeout || error.isCancellation) }
            }
        }
    }
}

// Swift's view of glibc leaves these out.
@_silgen_name("eventfd") private func makeEvent(_ count: UInt32, _ flags: Int32) -> Int32
@_silgen_name("eventfd_write") private func writeEvent(_ descriptor: Int32, _ count: UInt64) -> Int32
@_silgen_name("posix_openpt") private func openTerminal(_ flags: Int32) -> Int32
@_silgen_name("grantpt") private func grantTerminal(_ descriptor: Int32) -> Int32
@_silgen_name("unlockpt") private func unlockTerminal(_ descriptor: Int32) -> Int32
@_silgen_name("ptsname") private func nameOfTerminal(_ descriptor: Int32) -> UnsafePointer<CChar>
