import Glibc
import GreenNet
import GreenPatch

let ofCalls: [Case] = [
    .patched("a kill ends a call with ECANCELED, and call throws what the kill was") {
        let pipe = Pipe()
        var answer = 0
        let reader = spawn { try GreenPatch.call { answer = pipe.readByte() } }
        try Greenlet.yield()
        reader.kill()
        try reader.join()
        expect(reader.state == .killed)
        expect(answer == -Int(ECANCELED))
        pipe.close()
    },
    .patched("a time limit ends a call with ECANCELED, and withTimeout throws TimedOut") {
        let pipe = Pipe()
        let answer = try spawn {
            var answer = 0
            let error = failure {
                try withTimeout(.milliseconds(5)) { try GreenPatch.call { answer = pipe.readByte() } }
            }
            expect(error is TimedOut)
            return answer
        }.value()
        expect(answer == -Int(ECANCELED))
        pipe.close()
    },
    .patched("a killed green thread that never waits ends at its next turn") {
        let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
        let writer = spawn { try GreenPatch.call { while write(null, "x", 1) == 1 {} } }
        try Greenlet.yield()
        writer.kill()
        try writer.join()
        expect(writer.state == .killed)
        close(null)
    },
    .patched("a call inside shielded is not ended by a kill") {
        let pipe = Pipe()
        var answer = 0
        let reader = spawn { try shielded { try GreenPatch.call { answer = pipe.readByte() } } }
        try Greenlet.yield()
        reader.kill()
        try Greenlet.yield()
        pipe.writeByte(3)
        try reader.join()
        expect(answer == 3)
        pipe.close()
    },
    .patched("a library's error is thrown where the green thread was not interrupted") {
        let error = failure { try GreenPatch.call { throw SystemError(EIO) } }
        expect(error as? SystemError == SystemError(EIO))
        expect(try GreenPatch.call { 5 } == 5)
    },
    .patched("a time limit on the main green thread is refused where it would not act") {
        let error = failure { try withTimeout(.seconds(1)) { try GreenPatch.call {} } }
        expect(error as? GreenPatchError == .timeLimitOnMain)
        expect("\(error!)".contains("install(main: true)"))
    },
    .patched("a time limit on the main green thread acts where it parks", main: true) {
        let error = failure { try withTimeout(.milliseconds(5)) { try GreenPatch.call { _ = sleep(60) } } }
        expect(error is TimedOut)
    },
    .patched("a caller of getaddrinfo that is killed leaves at once") {
        let callers = (0..<8).map { number in
            spawn {
                var list: UnsafeMutablePointer<addrinfo>?
                try GreenPatch.call { _ = getaddrinfo("no-such-host-\(number).invalid", nil, nil, &list) }
            }
        }
        try Greenlet.yield()
        expect(try elapsed { try killAll(callers) } < slack)
        expect(callers.allSatisfy { $0.state != .failed })
    },
    .patched("a thousand green threads sleep at the same time") {
        let sleepers = (0..<1000).map { _ in spawn { usleep(50_000) } }
        let took = try elapsed { try joinAll(sleepers) }
        expect(took >= .milliseconds(50) && took < slack, "\(took)")
    },
    .patched("a number that was closed unseen and used anew is waited for all the same") {
        let pipe = Pipe()
        let first = spawn { pipe.readByte() }
        try Greenlet.yield()
        pipe.writeByte(1)
        expect(try first.value() == 1)
        // The hub still watches the number: it sees no close by a system call.
        _ = systemCall(3, pipe.reading)
        let other = Pipe()
        expect(other.reading == pipe.reading)
        let second = spawn { other.readByte() }
        try Greenlet.sleep(for: .milliseconds(5))
        other.writeByte(2)
        expect(try second.value() == 2)
        other.close()
        close(pipe.writing)
    },
    .patched("several green threads read one socket") {
        let pipe = Pipe()
        let readers = (0..<3).map { _ in spawn { pipe.readByte() } }
        try Greenlet.yield()
        for number in 0..<3 { pipe.writeByte(UInt8(number)) }
        expect(try readers.map { try $0.value() }.sorted() == [0, 1, 2])
        let late = (0..<3).map { _ in spawn { pipe.readByte() } }
        try Greenlet.yield()
        close(pipe.reading)
        for reader in late { expect(try reader.value() == -Int(EBADF)) }
        close(pipe.writing)
    },
    .patched("a mode or a time limit that changes counts at the next call") {
        var ends: [Int32] = [0, 0]
        expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        let (one, other) = (Pipe(ends[0]), Pipe(ends[1]))
        func readAfterWrite() throws -> Int {
            let reader = spawn { one.readByte() }
            try Greenlet.yield()
            other.writeByte(5)
            return try reader.value()
        }
        expect(try readAfterWrite() == 5)
        let copy = dup(one.reading)
        expect(fcntl(copy, F_SETFL, O_NONBLOCK) == 0)
        expect(try spawn { one.readByte() }.value() == -Int(EAGAIN))
        var isNonBlocking: Int32 = 0
        expect(ioctl(copy, UInt(FIONBIO), &isNonBlocking) == 0)
        expect(try readAfterWrite() == 5)
        var limit = timeval(tv_sec: 0, tv_usec: 5_000)
        expect(setsockopt(copy, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size)) == 0)
        expect(try spawn { one.readByte() }.value() == -Int(EAGAIN))
        for descriptor in [copy, one.reading, other.reading] { close(descriptor) }
    },
    .patched("two green threads play ping-pong over a socket pair by read and write") {
        var ends: [Int32] = [0, 0]
        expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        let (one, other) = (Pipe(ends[0]), Pipe(ends[1]))
        let echo = spawn { for _ in 0..<1000 { other.writeByte(UInt8(other.readByte())) } }
        let ping = spawn {
            for number in 0..<1000 {
                one.writeByte(UInt8(number % 200))
                expect(one.readByte() == number % 200)
            }
        }
        try joinAll([ping, echo])
        close(ends[0])
        close(ends[1])
    },
]

/// `syscall` with one argument; Swift imports no variadic functions.
func systemCall(_ number: Int, _ argument: Int32) -> Int {
    typealias Function = @convention(c) (Int, Int) -> Int
    return unsafeBitCast(dlsym(nil, "syscall"), to: Function.self)(number, Int(argument))
}
