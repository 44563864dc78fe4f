import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct DatagramTests {
    private static let families = ["127.0.0.1", "::1"]

    private func pair(_ ip: String) throws -> (Datagram, Datagram) {
        let address = SocketAddress(ip: ip, port: 0)!
        return (try Datagram(bind: address), try Datagram(bind: address))
    }

    @Test(arguments: families)
    func `a datagram arrives whole, with its sender, and the answer finds it`(ip: String) throws {
        try onHub {
            let (one, other) = try pair(ip)
            let receiver = spawn { try other.receive(upTo: 100) }
            try receiver.waitUntilParked()
            try one.send("hello", to: other.address)
            let (bytes, peer) = try receiver.value()
            #expect(bytes == Array("hello".utf8))
            #expect(peer == one.address)
            try other.send([], to: peer)
            let (count, sender) = try one.receive(into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
            #expect(count == 0)
            #expect(sender == other.address)
        }
    }

    @Test(arguments: families, [0, 1, 65_507])
    func `each end of a datagram's length arrives`(ip: String, length: Int) throws {
        try onHub {
            let (one, other) = try pair(ip)
            try one.send(pattern(length), to: other.address)
            expectSame(try other.receive(upTo: 65_535).bytes, pattern(length))
            #expect(!other.wasTruncated)
            let failed = failure { () throws(NetError) in try one.send(pattern(65_536), to: other.address) }
            #expect(failed?.errno == SystemError(EMSGSIZE))
            #expect(
                failed?.description == "cannot send a datagram to \(other.address): message too long (EMSGSIZE)")
        }
    }

    @Test(arguments: families)
    func `a datagram that is longer than the buffer is cut, and that is told`(ip: String) throws {
        try onHub {
            let (one, other) = try pair(ip)
            try one.send("hello", to: other.address)
            try one.send("you", to: other.address)
            #expect(try other.receive(upTo: 4).bytes == Array("hell".utf8))
            #expect(other.wasTruncated)
            #expect(try other.receive(upTo: 4).bytes == Array("you".utf8))
            #expect(!other.wasTruncated)
        }
    }

    @Test(arguments: [("0.0.0.0", ["127.0.0.2", "127.0.0.3"]), ("::", ["127.0.0.2", "::1", "127.0.0.3"])])
    func `answers in a batch come from the address that was asked, on a socket for all addresses`(
        ip: String, asked: [String]
    ) throws {
        try onHub {
            let server = try Datagram(bind: SocketAddress(ip: ip, port: 0)!)
            let port = server.address.port!
            // One client for each family: the answers to IPv4 have one peer and one length, and could be sent as one.
            let clients = try ["127.0.0.9", "::1"].map { try Datagram(bind: SocketAddress(ip: $0, port: 0)!) }
            for address in asked {
                let target = SocketAddress(ip: address, port: port)!
                try clients[address.contains(":") ? 1 : 0].send("asked", to: target)
            }
            let batch = DatagramBatch(capacity: 8, size: 100)
            let copies = DatagramBatch(capacity: 8, size: 100)
            var count = 0
            while count < asked.count {
                count += try server.receive(into: batch, until: .after(.seconds(10)))
                copies.removeAll()
                for item in batch {
                    try copies.append(UnsafeRawBufferPointer(item.bytes), to: item.peer, from: item.localAddress)
                }
                try server.send(batch)
                try server.send(copies)
            }
            let answers = try (asked + asked).map { address in
                try clients[address.contains(":") ? 1 : 0].receive(upTo: 100, until: .after(.seconds(10)))
            }
            #expect(answers.allSatisfy { $0.bytes == Array("asked".utf8) })
            let expected = (asked + asked).map { "\(SocketAddress(ip: $0, port: port)!)" }
            #expect(answers.map { "\($0.peer)" }.sorted() == expected.sorted())
        }
    }

    @Test func `behind a datagram that is refused, the others of a batch go on`() throws {
        try onHub {
            let (one, other) = try pair("127.0.0.1")
            let batch = DatagramBatch(capacity: 3, size: 10)
            // The middle one is for another family, which this socket can't reach.
            for peer in [other.address, SocketAddress(ip: "::1", port: 9)!, other.address] {
                try batch.append([1], to: peer)
            }
            #expect(failure { () throws(NetError) in try one.send(batch) } != nil)
            #expect(batch.sent == 1)
            try one.send(batch, from: 2)
            #expect(batch.sent == 3)
            for _ in 0..<2 { #expect(try other.receive(upTo: 10, until: .after(.seconds(10))).bytes == [1]) }
            try one.send(batch, from: 3)
        }
    }

    @Test func `a socket for one address knows it, and its batches tell none`() throws {
        try onHub {
            let (one, other) = try pair("127.0.0.1")
            try one.send("hello", to: other.address)
            let batch = DatagramBatch(capacity: 1, size: 100)
            try other.receive(into: batch, until: .after(.seconds(10)))
            #expect(batch[0].localAddress == nil)
        }
    }

    @Test func `a socket for all addresses reaches IPv4 peers by their own address`() throws {
        try onHub {
            let all = try Datagram(bind: .any(port: 0))
            let peer = try Datagram(bind: .loopback(port: 0))
            try all.send("mapped", to: peer.address)
            let (bytes, sender) = try peer.receive(upTo: 10)
            #expect(bytes == Array("mapped".utf8))
            #expect(sender.port == all.address.port)
            let batch = DatagramBatch(capacity: 2, size: 10)
            try batch.append([1], to: peer.address)
            try all.send(batch)
            #expect(try peer.receive(upTo: 10).bytes == [1])
            try peer.send("back", to: sender)
            #expect(
                try all.receive(upTo: 10).peer == SocketAddress(parsing: "[::ffff:127.0.0.1]:\(peer.address.port!)"))
        }
    }

    @Test func `a deadline, a kill and a close end the wait`() throws {
        try onHub {
            let (one, _) = try pair("127.0.0.1")
            let late = failure { () throws(NetError) in try one.receive(upTo: 1, until: .after(.milliseconds(5))) }
            #expect(late?.description == "cannot receive datagrams on \(one.address): deadline passed")
            let killed = spawn { try one.receive(upTo: 1) }
            try killed.waitUntilParked()
            killed.kill()
            try killed.join()
            #expect(killed.state == .killed)
            let closed = spawn { failure { () throws(NetError) in try one.receive(upTo: 1) } }
            try closed.waitUntilParked()
            one.close()
            #expect(try closed.value()?.waitError == .closed)
            #expect(failure { () throws(NetError) in try one.send([1], to: one.address) }?.waitError == .closed)
        }
    }

    @Test func `options are set before the socket is bound, and a bad one leaves nothing open`() throws {
        try onHub {
            let first = try Datagram(bind: .loopback(port: 0), options: [.reusePort(true), .dscp(46)])
            _ = try Datagram(bind: first.address, options: [.reusePort(true)])
            try first.setOption(.receiveBuffer(100_000))
            let before = openDescriptors()
            let taken = failure { () throws(NetError) in try Datagram(bind: first.address) }
            #expect(taken?.description == "cannot bind \(first.address): address already in use (EADDRINUSE)")
            let wrong = failure { () throws(NetError) in try Datagram(bind: .loopback(port: 0), options: [.dscp(64)]) }
            #expect(wrong?.description.contains("64 is out of range, 0 to 63") == true)
            #expect(openDescriptors() == before)
        }
    }

    // MARK: Unix sockets

    @Test func `a unix datagram arrives, a full receiver parks its sender, and the path goes with the socket`() throws {
        try onHub {
            try withTemporaryDirectory { directory in
                let receiver = try Datagram(bind: .unix(path: "\(directory)/receiver"))
                let sender = try Datagram(bind: .abstract("greennet-\(getpid())-sender"))
                let flood = spawn { for number in 0..<2000 { try sender.send("\(number)", to: receiver.address) } }
                try flood.waitUntilParked()
                for number in 0..<2000 {
                    let (bytes, peer) = try receiver.receive(upTo: 10, until: .after(.seconds(5)))
                    try #require(bytes == Array("\(number)".utf8))
                    try #require(peer == sender.address)
                }
                try flood.value()
                receiver.close()
                #expect(access("\(directory)/receiver", F_OK) != 0)
            }
        }
    }

    // MARK: Batches

    @Test(arguments: families, [1, 100, 3000])
    func `a batch goes out and comes in, in its order, whatever the lengths`(ip: String, length: Int) throws {
        try onHub {
            let (one, other) = try pair(ip)
            let batch = DatagramBatch(capacity: 60, size: 3000)
            let count = length > 1000 ? 15 : 60  // So that all have room in the receiver's queue.
            let sent = (0..<count).map { pattern(max(1, length - $0 % 7 / 6), seed: $0) }
            for bytes in sent { try batch.append(bytes, to: other.address) }
            try one.send(batch)
            #expect(batch.sent == count)
            var received: [[UInt8]] = []
            let arrivals = DatagramBatch(capacity: 7, size: 3000)
            while received.count < sent.count {
                try other.receive(into: arrivals, until: .after(.seconds(5)))
                #expect(arrivals.allSatisfy { $0.peer == one.address && !$0.isTruncated })
                received += arrivals.map { [UInt8]($0.bytes) }
            }
            #expect(received == sent)
        }
    }

    @Test func `segments of which the last is shorter, and empty datagrams, keep their borders`() throws {
        try onHub {
            let (one, other) = try pair("127.0.0.1")
            let third = try Datagram(bind: .loopback(port: 0))
            let lengths = [500, 500, 20, 0, 0, 500, 501, 3]
            let batch = DatagramBatch(capacity: 20, size: 1000)
            for length in lengths { try batch.append(pattern(length), to: other.address) }
            try batch.append([9], to: third.address)
            try one.send(batch)
            for length in lengths {
                expectSame(try other.receive(upTo: 1000, until: .after(.seconds(5))).bytes, pattern(length))
            }
            #expect(try third.receive(upTo: 1000, until: .after(.seconds(5))).bytes == [9])
        }
    }

    @Test func `a batch is answered in place, and what was cut is told`() throws {
        try onHub {
            let (one, other) = try pair("::1")
            try one.send("abc", to: other.address)
            try one.send("too long", to: other.address)
            let batch = DatagramBatch(capacity: 4, size: 4)
            #expect(try other.receive(into: batch) == 2)
            #expect(batch.map(\.isTruncated) == [false, true])
            batch[0].bytes.reverse()
            batch[1].resize(to: 1)
            try other.send(batch)
            #expect(try one.receive(upTo: 10).bytes == Array("cba".utf8))
            #expect(try one.receive(upTo: 10).bytes == Array("t".utf8))
        }
    }

    @Test func `a batch that is full, and a datagram that is too long for it, are errors in words`() throws {
        try onHub {
            let address = SocketAddress.loopback(port: 9)
            let batch = DatagramBatch(capacity: 1, size: 4)
            let long = failure { () throws(NetError) in try batch.append(pattern(5), to: address) }
            #expect(long?.description == "cannot send datagrams to \(address): 5 bytes are more than the batch's 4")
            try batch.append(pattern(4), to: address)
            let full = failure { () throws(NetError) in try batch.append([], to: address) }
            #expect(full?.description == "cannot send datagrams to \(address): the batch is full, with 1 datagrams")
            batch.removeAll()
            #expect(batch.isEmpty)
            for (capacity, size) in [(1, 1), (1024, 1), (1, 65_535)] {
                #expect(DatagramBatch(capacity: capacity, size: size).capacity == capacity)
            }
        }
    }

    @Test func `an error in the middle of a batch tells how many were sent`() throws {
        try onHub {
            let (one, other) = try pair("127.0.0.1")
            let batch = DatagramBatch(capacity: 3, size: 65_535)
            try batch.append([1], to: other.address)
            try batch.append(pattern(65_535), to: other.address)
            let failed = failure { () throws(NetError) in try one.send(batch) }
            #expect(failed?.errno == SystemError(EMSGSIZE))
            #expect(batch.sent == 1)
            #expect(try other.receive(upTo: 10).bytes == [1])
        }
    }

    @Test func `kills and deadlines at any moment lose no datagram that was not received`() throws {
        try onHub {
            let (one, other) = try pair("127.0.0.1")
            let batch = DatagramBatch(capacity: 4, size: 8)
            for seed in 0..<UInt64(Sanitizer.scaled(200, address: 50, thread: 50)) {
                var random = SeededRandom(seed: seed)
                let deadline = Deadline.after(.microseconds(Int.random(in: 0...200, using: &random)))
                let receiver = spawn { () -> Int in
                    do throws(NetError) { return try other.receive(into: batch, until: deadline) } catch {
                        #expect(error.isTimeout || error.isCancellation)
                        return 0
                    }
                }
                let pause = Int.random(in: 0...200, using: &random)
                try Greenlet.sleep(for: .microseconds(pause))
                try one.send([UInt8(truncatingIfNeeded: seed)], to: other.address)
                if Bool.random(using: &random) { receiver.kill() }
                if try receiver.value() == 0 {
                    #expect(try other.receive(into: batch, until: .after(.seconds(5))) == 1)
                }
                #expect(batch[0].bytes.first == UInt8(truncatingIfNeeded: seed))
            }
        }
    }
}
