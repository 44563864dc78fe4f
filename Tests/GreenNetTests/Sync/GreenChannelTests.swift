import GreenNet
import TestSupport
import Testing

struct GreenChannelTests {
    @Test func `the green thread that takes goes on before the one that puts`() throws {
        try onHub {
            let channel = GreenChannel<String>()
            var trace: [String] = []
            let putter = spawn {
                trace.append("sending")
                try channel.put("hello")
                trace.append("sent hello")
                try channel.put("world")
                trace.append("sent world")
            }
            let taker = spawn { for _ in 0..<2 { trace.append(try channel.take()) } }
            try putter.value()
            try taker.value()
            #expect(trace == ["sending", "hello", "sent hello", "world", "sent world"])
        }
    }

    @Test func `a channel has no room`() throws {
        try onHub {
            let channel = GreenChannel<Int>()
            try #expect(!channel.tryPut(1))
            #expect(throws: WaitError.deadlinePassed) { try channel.put(1, until: .after(.milliseconds(2))) }
            #expect(throws: WaitError.deadlinePassed) { try channel.take(until: .after(.milliseconds(2))) }
            let putter = spawn { try channel.put(2) }
            try Greenlet.yield()
            #expect(channel.balance == 1)
            #expect(channel.tryPeek() == 2)
            #expect(channel.tryTake() == 2)
            try putter.value()
        }
    }

    @Test func `in the same pass as a kill, no item is lost or given twice`() throws {
        try onHub {
            let channel = GreenChannel<Int>()
            let putter = spawn { try channel.put(1) }
            try Greenlet.yield()
            try #expect(channel.take() == 1)
            putter.kill()
            try putter.value()
            let taker = spawn { try channel.take() }
            try Greenlet.yield()
            try #expect(channel.tryPut(2))
            taker.kill()
            try #expect(taker.value() == 2)
            let killed = spawn { try channel.put(3) }
            try Greenlet.yield()
            killed.kill()
            #expect(channel.tryTake() == nil)
            #expect(throws: GreenletExit()) { try killed.value() }
        }
    }

    @Test func `waitAny returns a channel at which a green thread waits to put`() throws {
        try onHub {
            let channel = GreenChannel<Int>()
            let waiter = spawn { try waitAny([channel]) === channel && channel.take() == 1 }
            try Greenlet.yield()
            try channel.put(1)
            try #expect(waiter.value())
        }
    }

    @Test func `a loop over a channel ends when it is shut down`() throws {
        try onHub {
            let channel = GreenChannel<Int>()
            let taker = spawn {
                var items: [Int] = []
                while let item = try channel.next() { items.append(item) }
                return items
            }
            for number in 0..<3 { try channel.put(number) }
            channel.shutDown()
            try #expect(taker.value() == [0, 1, 2])
            #expect(throws: WaitError.closed) { try channel.put(3) }
        }
    }
}
