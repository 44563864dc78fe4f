import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct PassedDescriptorsTests {
    @Test func `a passed descriptor is the receiver's own, closed on exec, for the same open file`() throws {
        try onHub {
            let (one, other) = try Connection.pair()
            let ends = try SystemCalls.pipe()
            try one.send(descriptors: [ends.writing], with: Array("pipe".utf8))
            close(ends.writing)
            let received = try #require(try other.receiveDescriptors(upTo: 1))
            #expect(received.bytes == Array("pipe".utf8))
            #expect(!received.wereLost)
            let passed = try #require(received.descriptors.first)
            #expect(fcntl(passed, F_GETFD) == FD_CLOEXEC)
            _ = write(passed, "x", 1)
            close(passed)
            var byte: UInt8 = 0
            #expect(read(ends.reading, &byte, 1) == 1)
            close(ends.reading)
        }
    }

    @Test(arguments: [1, 253])
    func `each end of the range of descriptors arrives`(count: Int) throws {
        try onHub {
            let (one, other) = try Connection.pair()
            try one.send(descriptors: Array(repeating: 0, count: count), with: [7])
            let received = try #require(try other.receiveDescriptors(upTo: count))
            #expect(received.descriptors.count == count)
            #expect(!received.wereLost)
            for number in received.descriptors { close(number) }
        }
    }

    @Test func `a count or a length beyond the range is an error in words`() throws {
        try onHub {
            let (one, _) = try Connection.pair()
            for (count, bytes, words) in [
                (0, [UInt8(1)], "0 descriptors are out of range, 1 to 253"),
                (254, [1], "254 descriptors are out of range, 1 to 253"), (1, [], "descriptors go with 1 byte or more"),
            ] {
                let error = failure { () throws(NetError) in
                    try one.send(descriptors: Array(repeating: 0, count: count), with: bytes)
                }
                #expect(error?.description == "cannot send descriptors to \(one.peer): \(words)")
            }
            let error = failure { () throws(NetError) in try one.send(descriptors: [987_654], with: [1]) }
            #expect(error?.errno == SystemError(EBADF))
            let (overTCP, _) = try connectedConnections()
            let other = failure { () throws(NetError) in try overTCP.send(descriptors: [0], with: [1]) }
            #expect(other?.errno == SystemError(EOPNOTSUPP))
        }
    }

    @Test(arguments: [0, 1, 2])
    func `a receiver that takes fewer is told, and none stays open`(taken: Int) throws {
        try onHub {
            let (one, other) = try Connection.pair()
            try one.send(descriptors: [0, 1, 2], with: [7])
            let before = openDescriptors()
            let received = try #require(try other.receiveDescriptors(upTo: taken))
            #expect(received.bytes == [7])
            #expect(received.descriptors.count == taken)
            #expect(received.wereLost)
            #expect(openDescriptors() == before + taken)
            for number in received.descriptors { close(number) }
        }
    }

    @Test func `at the descriptor limit the bytes arrive, and the loss is told`() throws {
        try onHub {
            let (one, other) = try Connection.pair()
            try one.send(descriptors: [0, 1], with: Array("two".utf8))
            let received = try withRoom(forDescriptors: 1) { try other.receiveDescriptors(upTo: 2) }
            #expect(received?.bytes == Array("two".utf8))
            #expect(received?.descriptors.count == 1)
            #expect(received?.wereLost == true)
            for number in received?.descriptors ?? [] { close(number) }
        }
    }

    @Test func `a plain receive drops descriptors, and none stays open`() throws {
        try onHub {
            let (one, other) = try Connection.pair()
            let before = openDescriptors()
            try one.send(descriptors: [0, 1, 2], with: [7])
            #expect(try other.receive() == [7])
            #expect(openDescriptors() == before)
        }
    }

    @Test func `bytes with and without descriptors keep their order, and the end is nil`() throws {
        try onHub {
            let (one, other) = try Connection.pair()
            try one.sendAll("a")
            try one.send(descriptors: [0], with: Array("b".utf8))
            try one.sendAll("c")
            try one.shutdownSending()
            var seen: [String] = []
            while let received = try other.receiveDescriptors(upTo: 4) {
                seen.append(String(decoding: received.bytes, as: UTF8.self) + "\(received.descriptors.count)")
                for number in received.descriptors { close(number) }
            }
            #expect(seen.joined(separator: " ") == "ab1 c0")
        }
    }

    @Test func `more bytes than the buffers hold arrive behind the descriptors`() throws {
        try onHub {
            let (one, other) = try Connection.pair()
            let bytes = pattern(1_000_000)
            let sender = spawn { try one.send(descriptors: [0], with: bytes) }
            let first = try #require(try other.receiveDescriptors(upTo: 1, bytes: 1000))
            for number in first.descriptors { close(number) }
            #expect(first.descriptors.count == 1)
            expectSame(first.bytes + (try other.receive(exactly: bytes.count - first.bytes.count)), bytes)
            try sender.value()
        }
    }

    @Test func `kills and deadlines at any moment leave no descriptor behind`() throws {
        try onHub {
            for seed in 0..<UInt64(Sanitizer.scaled(200, address: 50, thread: 50)) {
                var random = SeededRandom(seed: seed)
                let (one, other) = try Connection.pair()
                let deadline = Deadline.after(.microseconds(Int.random(in: 0...200, using: &random)))
                let receiver = spawn {
                    let received = try other.receiveDescriptors(upTo: 3, until: deadline)
                    for number in received?.descriptors ?? [] { close(number) }
                }
                let pause = Int.random(in: 0...200, using: &random)
                try Greenlet.sleep(for: .microseconds(pause))
                try one.send(descriptors: [0, 1, 2], with: [7])
                if Bool.random(using: &random) { receiver.kill() }
                do { try receiver.value() } catch { #expect(error.isTimeout || error.isCancellation) }
            }
        }
    }
}
