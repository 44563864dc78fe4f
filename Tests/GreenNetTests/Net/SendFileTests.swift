import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct SendFileTests {
    private func withFile(_ bytes: [UInt8], _ body: (String) throws -> Void) throws {
        let path = "/tmp/greennet-file-\(UInt64.random(in: 0 ... .max))"
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        try #require(file >= 0)
        defer { unlink(path) }
        try #require(write(file, bytes, bytes.count) == bytes.count)
        close(file)
        try body(path)
    }

    private func error(_ body: () throws(TransferError) -> Int) -> TransferError? {
        do throws(TransferError) { _ = try body() } catch { return error }
        return nil
    }

    @Test(arguments: ["127.0.0.1", "::1"])
    func `a whole file arrives, by its path and by its descriptor, whose own offset stays`(ip: String) throws {
        try onHub {
            let listener = try Listener(on: SocketAddress(ip: ip, port: 0)!)
            let client = try Connection.connect(to: listener.address)
            let served = try listener.accept()
            let bytes = pattern(Sanitizer.scaled(5_000_000, address: 1_000_000, thread: 1_000_000))
            try withFile(bytes) { path in
                let receiver = spawn { try client.receive(exactly: 2 * bytes.count) }
                #expect(try served.sendFile(path) == bytes.count)
                let file = open(path, O_RDONLY | O_CLOEXEC)
                defer { close(file) }
                #expect(try served.sendFile(descriptor: file) == bytes.count)
                #expect(lseek(file, 0, SEEK_CUR) == 0)
                expectSame(try receiver.value(), bytes + bytes)
            }
        }
    }

    @Test(arguments: [(0, 0), (0, 1), (9999, 1), (0, 10_000), (5000, 5000), (10_000, 0)])
    func `a part of a file arrives, up to each of its ends`(offset: Int, count: Int) throws {
        try onHub {
            let (one, other) = try Connection.pair()
            let bytes = pattern(10_000)
            try withFile(bytes) { path in
                #expect(try one.sendFile(path, from: offset, count: count) == count)
                try one.shutdownSending()
                expectSame(try other.receiveAll(), Array(bytes[offset..<offset + count]))
            }
        }
    }

    @Test(arguments: [1 << 44, 1 << 53, 1 << 62, .max - (1 << 20), .max - 2, .max - 1])
    func `an offset behind the longest file that there can be is one behind the end`(offset: Int) throws {
        try onHub {
            let (one, _) = try Connection.pair()
            try withFile(pattern(1000)) { path in
                try #expect(one.sendFile(path, from: offset) == 0)
                let failed = error { () throws(TransferError) in try one.sendFile(path, from: offset, count: 1) }
                #expect(failed?.description == "cannot send \(path): the file ended after 0 of 1 bytes, after 0 bytes")
                #expect((failed?.side, failed?.transferred) == (.source, 0))
            }
        }
    }

    @Test func `an offset behind the end sends nothing, and a file that is too short says how far it came`() throws {
        try onHub {
            let (one, other) = try Connection.pair()
            try withFile(pattern(1000)) { path in
                #expect(try one.sendFile(path, from: 1001) == 0)
                let failed = error { () throws(TransferError) in try one.sendFile(path, from: 400, count: 601) }
                #expect(
                    failed?.description == "cannot send \(path): the file ended after 600 of 601 bytes, after 600 bytes"
                )
                #expect((failed?.side, failed?.transferred) == (.source, 600))
                #expect(failed?.isPeerGone == false)
                try one.shutdownSending()
                expectSame(try other.receiveAll(), Array(pattern(1000)[400...]))
            }
        }
    }

    @Test func `what is no regular file, or cannot be opened, is refused in words`() throws {
        try onHub {
            let (one, _) = try Connection.pair()
            for (path, words) in [
                ("/dev/null", "cannot send /dev/null: it is not a regular file"),
                ("/tmp", "cannot send /tmp: is a directory (EISDIR)"),
                ("/nowhere", "cannot open /nowhere: no such file or directory (ENOENT)"),
            ] {
                let failed = error { () throws(TransferError) in try one.sendFile(path) }
                #expect(failed?.description == "\(words), after 0 bytes")
                #expect(failed?.side == .source)
            }
            let closed = error { () throws(TransferError) in try one.sendFile(descriptor: 987_654) }
            #expect(closed?.error.errno == SystemError(EBADF))
            try withFile([]) { path in
                for (offset, count, words) in [
                    (-1, 0, "the offset -1 is below 0"), (0, -1, "the count -1 is below 0"),
                    (.max, 1, "1 bytes from \(Int.max) on are more than a file can have"),
                ] {
                    let failed = error { () throws(TransferError) in try one.sendFile(path, from: offset, count: count)
                    }
                    #expect(failed?.error.description == "cannot send \(path): \(words)")
                }
            }
        }
    }

    @Test func `a peer that is gone is an error of the sink, and never a signal`() throws {
        try onHub {
            let (one, other) = try Connection.pair()
            other.close()
            try withFile(pattern(1000)) { path in
                let failed = error { () throws(TransferError) in try one.sendFile(path) }
                #expect(failed?.side == .sink)
                #expect(failed?.error.errno == SystemError(EPIPE))
                // Nor is a signal left that would come when it is let through.
                var pending = sigset_t()
                sigpending(&pending)
                #expect(sigismember(&pending, SIGPIPE) == 0)
            }
        }
    }

    @Test func `a slow peer lets others run, and a deadline says how far it came`() throws {
        try onHub {
            let (narrow, peer) = try narrowPair()
            try withFile(pattern(5_000_000)) { path in
                let failed = error { () throws(TransferError) in
                    try narrow.sendFile(path, until: .after(.milliseconds(20)))
                }
                #expect(failed?.isTimeout == true)
                let sent = try #require(failed?.transferred)
                narrow.close()
                expectSame(try peer.readToEnd(), Array(pattern(5_000_000)[..<sent]))
            }
        }
    }

    @Test func `kills at any moment leave nothing open`() throws {
        try onHub {
            try withFile(pattern(300_000)) { path in
                for seed in 0..<UInt64(Sanitizer.scaled(100, address: 30, thread: 30)) {
                    var random = SeededRandom(seed: seed)
                    let (one, other) = try Connection.pair()
                    let sender = spawn { try one.sendFile(path) }
                    let receiver = spawn { while try other.receive() != nil {} }
                    let pause = Int.random(in: 0...500, using: &random)
                    try Greenlet.sleep(for: .microseconds(pause))
                    sender.kill()
                    do { _ = try sender.value() } catch { #expect(error.isCancellation) }
                    one.close()
                    try receiver.value()
                }
            }
        }
    }
}
