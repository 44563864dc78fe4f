internal import CPatchProbes
import Glibc
import GreenNet

/// How often the kernel is told what a wait is for: a wait like the one before needs no such call.
let ofWatches: [Case] = [
    .patched("reads that wait tell the kernel once") {
        let pipe = Pipe()
        try expectWatchCalls(1) {
            let reader = spawn { (0..<waits).map { _ in pipe.readByte() } }
            for number in 0..<waits { try feed(pipe, UInt8(number)) }
            expect(try reader.value() == Array(0..<waits))
        }
        pipe.close()
    },
    .patched("polls of two descriptors that wait tell the kernel once of each") {
        let (one, other) = (Pipe(), Pipe())
        try expectWatchCalls(2) {
            let reader = spawn {
                (0..<waits).map { _ in
                    var wanted = [one, other].map { pollfd(fd: $0.reading, events: Int16(POLLIN), revents: 0) }
                    expect(poll(&wanted, 2, -1) == 1)
                    return (wanted[0].revents != 0 ? one : other).readByte()
                }
            }
            for number in 0..<waits { try feed(number.isMultiple(of: 3) ? other : one, UInt8(number)) }
            expect(try reader.value() == Array(0..<waits))
        }
        one.close()
        other.close()
    },
    .patched("a write that waits for a slow reader tells the kernel when it begins to wait, and once after its end") {
        let pipe = Pipe()
        let page = 4096
        expect(fcntl(pipe.writing, setPipeSize, Int32(page)) == page)
        let bytes = [UInt8](repeating: 7, count: waits * page)
        try expectWatchCalls(2) {
            let writer = spawn { write(pipe.writing, bytes, bytes.count) }
            var (buffer, count) = ([UInt8](repeating: 0, count: page), 0)
            while count < bytes.count {
                try Greenlet.sleep(for: .microseconds(100))
                var wanted = pollfd(fd: pipe.reading, events: Int16(POLLIN), revents: 0)
                // On the main green thread, a read of nothing would block the hub.
                if poll(&wanted, 1, 0) == 1 { count += read(pipe.reading, &buffer, page) }
            }
            expect(try writer.value() == bytes.count)
            try Greenlet.sleep(for: .milliseconds(1))
        }
        pipe.close()
    },
    .patched("a descriptor's number that waitpid has used is waited for at once") {
        var pid: pid_t = 0
        expect(posix_spawn(&pid, "/bin/true", nil, nil, [nil], nil) == 0)
        let number = open("/dev/null", O_RDONLY | O_CLOEXEC)
        close(number)
        expect(try spawn { waitpid(pid, nil, 0) }.value() == pid)
        let pipe = Pipe()
        expect(pipe.reading == number)
        let reader = spawn { pipe.readByte() }
        try Greenlet.yield()
        pipe.writeByte(1)
        expect(try elapsed { expect(try reader.value() == 1) } < .milliseconds(900))
        pipe.close()
    },
    .patched("a descriptor's number that another OS thread has closed is waited for at once") {
        let pipe = Pipe()
        let first = spawn { pipe.readByte() }
        try Greenlet.yield()
        pipe.writeByte(1)
        expect(try first.value() == 1)
        _ = try Hub.current.offload { close(pipe.reading) }
        let other = Pipe()
        expect(other.reading == pipe.reading)
        let second = spawn { other.readByte() }
        try Greenlet.sleep(for: .milliseconds(5))
        other.writeByte(2)
        expect(try elapsed { expect(try second.value() == 2) } < .milliseconds(900))
        other.close()
        close(pipe.writing)
    },
    .patched("a poll of several descriptors, of which one was closed unseen and used anew, gets on") {
        let (one, other) = (Pipe(), Pipe())
        func wait() -> Int32 {
            var wanted = [one, other].map { pollfd(fd: $0.reading, events: Int16(POLLIN), revents: 0) }
            return poll(&wanted, 2, 10_000)
        }
        let first = spawn { wait() }
        try Greenlet.yield()
        one.writeByte(1)
        expect(try first.value() == 1)
        // The hub sees no close by a system call.
        _ = systemCall(3, one.reading)
        let new = Pipe()
        expect(new.reading == one.reading)
        let second = spawn { wait() }
        try Greenlet.sleep(for: .milliseconds(5))
        new.writeByte(2)
        expect(try elapsed { expect(try second.value() == 1) } < slack)
        new.close()
        other.close()
        close(one.writing)
    },
    .patched("a poll that another green thread ends by a close is told so, and others wait on") {
        let (one, other) = (Pipe(), Pipe())
        func poller() -> Greenlet<Int32> {
            spawn {
                var wanted = [one, other].map { pollfd(fd: $0.reading, events: Int16(POLLIN), revents: 0) }
                let count = poll(&wanted, 2, -1)
                return count == 1 ? Int32(wanted[0].revents) : -errno
            }
        }
        let pollers = [poller(), poller()]
        let reader = spawn { other.readByte() }
        try Greenlet.yield()
        close(one.reading)
        for poller in pollers { expect(try poller.value() == POLLNVAL) }
        other.writeByte(5)
        expect(try reader.value() == 5)
        close(one.writing)
        other.close()
    },
]

private let waits = 100
/// F_SETPIPE_SZ, which Swift does not see.
private let setPipeSize: Int32 = 1031

private func expectWatchCalls(_ most: Int32, _ body: () throws -> Void) rethrows {
    let before = probe_watch_calls()
    expect(before > 0, "the loop's calls are not counted")
    try body()
    let calls = probe_watch_calls() - before
    expect(calls <= most, "\(calls) calls of epoll_ctl, \(most) are enough")
}

/// Writes a byte once the reader waits, and lets it read.
private func feed(_ pipe: Pipe, _ byte: UInt8) throws {
    try Greenlet.sleep(for: .microseconds(100))
    pipe.writeByte(byte)
}
