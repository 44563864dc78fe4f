import AsyncAlgorithms
import GreenNet
import HubSupport
import Testing

/// swift-async-algorithms, used from green threads.
struct AsyncAlgorithmsTests {
    @Test func `timers tick for many green threads at once`() async throws {
        let length = try await onHub {
            let start = Deadline.now
            try withGreenGroup { group in
                for _ in 0..<100 {
                    group.spawn {
                        let ticks = try awaiting {
                            var ticks = 0
                            for await _ in AsyncTimerSequence(interval: .milliseconds(10), clock: .continuous) {
                                ticks += 1
                                if ticks == 5 { break }
                            }
                            return ticks
                        }
                        #expect(ticks == 5)
                    }
                }
            }
            return .now - start
        }
        #expect(length >= .milliseconds(50))
        #expect(length < .seconds(4))
    }

    @Test func `channels of green threads can be merged`() async throws {
        try await onHub {
            let (numbers, others) = (RemoteChannel<Int>(limit: 2), RemoteChannel<Int>())
            for (channel, first) in [(numbers, 0), (others, 1000)] {
                spawn {
                    for number in first..<first + 100 { try channel.put(number) }
                    channel.close()
                }
            }
            let seen = try awaiting {
                var seen: [Int] = []
                for try await number in merge(numbers, others) { seen.append(number) }
                return seen
            }
            #expect(seen.filter { $0 < 1000 } == Array(0..<100))
            #expect(seen.filter { $0 >= 1000 } == Array(1000..<1100))
        }
    }

    @Test func `an AsyncChannel passes items between green threads`() async throws {
        try await onHub {
            let channel = AsyncChannel<Int>()
            let sender = spawn {
                for number in 0..<100 { try awaiting { await channel.send(number) } }
                channel.finish()
            }
            let seen = try awaiting { await Array(channel) }
            #expect(seen == Array(0..<100))
            try sender.value()
        }
    }

    @Test func `debounce gives the last item of each burst`() async throws {
        try await onHub {
            let items = RemoteChannel<Int>()
            spawn {
                for burst in 0..<3 {
                    for number in 0..<5 { try items.put(burst * 10 + number) }
                    try Greenlet.sleep(for: .milliseconds(400))
                }
                items.close()
            }
            let seen = try awaiting {
                var seen: [Int] = []
                for try await item in items.debounce(for: .milliseconds(100)) { seen.append(item) }
                return seen
            }
            #expect(seen == [4, 14, 24])
        }
    }
}
