import Glibc
import TestSupport
import Testing

@testable import GreenNet

/// First come, first served, for events of the kernel and the clock too.
struct OrderTests {
    // MARK: Deadlines

    @Test(arguments: [8, 64, 1000])
    func `sleeps that end at one moment end in the order in which they began`(count: Int) throws {
        try onHub {
            let moment = Deadline.after(.milliseconds(20) * Sanitizer.slowness)
            var order: [Int] = []
            for number in 0..<count {
                spawn {
                    try Greenlet.sleep(until: moment)
                    order.append(number)
                }
            }
            try Hub.current.run()
            #expect(order == Array(0..<count))
        }
    }

    @Test func `deadlines a nanosecond apart pass in their order`() throws {
        try onHub {
            let moment = Deadline.after(.milliseconds(20) * Sanitizer.slowness)
            var random = SeededRandom(seed: 3)
            var order: [Int] = []
            for number in (0..<100).shuffled(using: &random) {
                spawn {
                    try Greenlet.sleep(until: moment + .nanoseconds(number))
                    order.append(number)
                }
            }
            try Hub.current.run()
            #expect(order == Array(0..<100))
        }
    }

    @Test(arguments: 0..<5 as Range<UInt64>)
    func `waits of all kinds until one moment end in the order in which they began, whatever was waited for before`(
        seed: UInt64
    ) throws {
        try onHub {
            let moment = Deadline.after(.milliseconds(60) * Sanitizer.slowness)
            var random = SeededRandom(seed: seed)
            let (event, queue, semaphore) = (GreenEvent(), GreenQueue<Int>(), GreenSemaphore(0))
            var (begun, ended): ([Int], [Int]) = ([], [])
            for number in 0..<100 {
                // This timer is left over when the measured wait begins: it is due earlier or later.
                let before = moment + .milliseconds(Int.random(in: -50...50, using: &random))
                let pause = Int.random(in: 0...30, using: &random)
                spawn {
                    try #expect(spawn {}.join(until: before))
                    try Greenlet.sleep(for: .milliseconds(pause))
                    begun.append(number)
                    switch number % 4 {
                    case 0: try #expect(!event.wait(until: moment))
                    case 1: #expect(throws: WaitError.deadlinePassed) { try queue.take(until: moment) }
                    case 2: try #expect(!semaphore.acquire(until: moment))
                    default: try Greenlet.sleep(until: moment)
                    }
                    ended.append(number)
                }
            }
            try Hub.current.run()
            #expect(ended == begun)
        }
    }

    @Test func `a wait that begins anew until the same moment ends after the waits that began meanwhile`() throws {
        try onHub {
            let moment = Deadline.after(.milliseconds(20) * Sanitizer.slowness)
            let event = GreenEvent()
            var order: [String] = []
            let first = spawn {
                try #expect(event.wait(until: moment))
                try Greenlet.sleep(until: moment)
                order.append("first")
            }
            try Greenlet.yield()
            let second = spawn {
                try Greenlet.sleep(until: moment)
                order.append("second")
            }
            try Greenlet.yield()
            event.set()
            try joinAll([first, second])
            #expect(order == ["second", "first"])
        }
    }

    @Test func `with a virtual clock, too, waits until one moment end in the order in which they began`() throws {
        try onVirtualHub {
            let moment = Deadline.after(.seconds(3600))
            var (begun, ended): ([Int], [Int]) = ([], [])
            for number in 0..<50 {
                spawn {
                    try Greenlet.sleep(for: .seconds(50 - number))
                    begun.append(number)
                    try Greenlet.sleep(until: moment)
                    ended.append(number)
                }
            }
            try Hub.current.run()
            #expect(ended == begun && begun == Array((0..<50).reversed()))
        }
    }

    // MARK: Descriptors

    /// Includes counts above the number of events for which the loop asks the kernel at a time.
    @Test(arguments: [8, 64, 65, 300])
    func `connections that become readable one after the other are received from in that order`(count: Int) throws {
        try onHub {
            var random = SeededRandom(seed: 5)
            for _ in 0..<2 {
                let pairs = try (0..<count).map { _ in try unixPair() }
                var order: [Int] = []
                let readers = pairs.enumerated().map { number, pair in
                    spawn {
                        try #expect(pair.connection.receive(upTo: 10) == [1])
                        order.append(number)
                    }
                }
                try waitUntilWatched(readers)
                // The hub polls its loop only when all bytes have come.
                let coming = (0..<count).shuffled(using: &random)
                for number in coming { pairs[number].peer.write([1]) }
                try joinAll(readers)
                #expect(order == coming)
            }
        }
    }

    @Test func `connections that are readable when the hub first polls them are received from as their waits began`()
        throws
    {
        try onHub {
            var random = SeededRandom(seed: 6)
            let pairs = try (0..<64).map { _ in try unixPair() }
            var order: [Int] = []
            let readers = pairs.enumerated().map { number, pair in
                spawn {
                    try #expect(pair.connection.receive(upTo: 10) == [1])
                    order.append(number)
                }
            }
            // All of them wait then, and the hub has not polled its loop.
            try Greenlet.yield()
            #expect(readers.allSatisfy { $0.state == .waiting })
            for pair in pairs.shuffled(using: &random) { pair.peer.write([1]) }
            try joinAll(readers)
            #expect(order == Array(0..<64))
        }
    }

    @Test func `connections that can be written to again are sent to in the order in which they could`() throws {
        try onHub {
            var random = SeededRandom(seed: 7)
            let pairs = try (0..<100).map { _ in try unixPair() }
            var order: [Int] = []
            let writers = pairs.enumerated().map { number, pair in
                spawn {
                    while send(pair.connection.descriptor, [0], 1, 0) > 0 {}
                    try pair.connection.sendAll([1])
                    order.append(number)
                }
            }
            try waitUntilWatched(writers)
            let coming = (0..<100).shuffled(using: &random)
            for number in coming { _ = try pairs[number].peer.readAll() }
            try joinAll(writers)
            #expect(order == coming)
        }
    }

    @Test func `listeners come after connections, each in the order in which clients came`() throws {
        try onHub {
            let pairs = try (0..<8).map { _ in try unixPair() }
            let listeners = try (0..<8).map { _ in try Listener(on: loopback) }
            var order: [String] = []
            let waiting =
                listeners.enumerated().map { number, listener in
                    spawn {
                        _ = try listener.accept()
                        order.append("listener \(number)")
                    }
                }
                + pairs.enumerated().map { number, pair in
                    spawn {
                        _ = try pair.connection.receive(upTo: 10)
                        order.append("connection \(number)")
                    }
                }
            try waitUntilWatched(waiting)
            let clients = try listeners.map { try Peer(connectedTo: $0.address) }
            for pair in pairs { pair.peer.write([1]) }
            try joinAll(waiting)
            #expect(order == (0..<8).map { "connection \($0)" } + (0..<8).map { "listener \($0)" })
            for client in clients { client.close() }
        }
    }

    @Test func `if both data and a deadline have come when the hub polls, the data comes first`() throws {
        try onHub {
            let pairs = try (0..<8).map { _ in try unixPair() }
            let moment = Deadline.after(.milliseconds(10) * Sanitizer.slowness)
            var order: [String] = []
            let sleepers = (0..<8).map { number in
                spawn {
                    try Greenlet.sleep(until: moment)
                    order.append("deadline \(number)")
                }
            }
            let readers = pairs.enumerated().map { number, pair in
                spawn {
                    _ = try pair.connection.receive(upTo: 10, until: moment)
                    order.append("data \(number)")
                }
            }
            try waitUntilWatched(sleepers + readers)
            block(until: moment)
            for pair in pairs { pair.peer.write([1]) }
            try joinAll(sleepers + readers)
            #expect(order == (0..<8).map { "data \($0)" } + (0..<8).map { "deadline \($0)" })
        }
    }

    @Test func `green threads that were ready before the hub polled run before the ones it finds`() throws {
        try onHub {
            let pairs = try (0..<8).map { _ in try unixPair() }
            var order: [String] = []
            let readers = pairs.enumerated().map { number, pair in
                spawn {
                    _ = try pair.connection.receive(upTo: 10)
                    order.append("data \(number)")
                }
            }
            try waitUntilWatched(readers)
            for pair in pairs { pair.peer.write([1]) }
            // When this green thread gives way, the hub polls the loop while it is ready itself.
            let busy = spawn {
                while order.isEmpty { try Greenlet.yield() }
                order.append("busy")
            }
            try joinAll(readers + [busy])
            #expect(order.filter { $0 != "busy" } == (0..<8).map { "data \($0)" })
            #expect(order.last == "busy")
        }
    }
}

extension OrderTests {
    // MARK: Other things that are handed over

    @Test func `a signal goes to the green thread that has waited longest, and not to a newcomer`() throws {
        try onHub {
            let watcher = SignalWatcher(SIGUSR1)
            let waiters = (0..<3).map { _ in spawn { try watcher.wait() } }
            try waitUntil { waiters.allSatisfy { $0.state == .waiting } }
            for number in 0..<3 {
                var isSent = false
                // The newcomer is ready when the hub polls the loop, and runs before the green thread that is woken there.
                let newcomer = spawn {
                    while !isSent { try Greenlet.yield() }
                    try Greenlet.yield()
                    _ = try? watcher.wait(until: .now)
                }
                spawn {
                    pthread_kill(pthread_self(), SIGUSR1)
                    isSent = true
                }
                try joinAll([newcomer, waiters[number]] as [AnyGreenlet])
                #expect(waiters.map(\.hasEnded) == (0..<3).map { $0 <= number })
            }
        }
    }

    @Test func `permits, items and calls from other OS threads go to the green threads that have waited longest`()
        throws
    {
        try onHub {
            let (permits, items) = (RemoteSemaphore(0), RemoteChannel<Int>())
            var order: [Int] = []
            let waiters = (0..<20).map { number in
                spawn {
                    if number % 2 == 0 { try permits.acquire() } else { try #expect(items.take() == number) }
                    order.append(number)
                }
            }
            try waitUntil { waiters.allSatisfy { $0.state == .waiting } }
            let giver = TestThread {
                for number in 0..<20 { if number % 2 == 0 { permits.release() } else { _ = try items.tryPut(number) } }
            }
            try joinAll(waiters)
            try giver.value()
            #expect(order == Array(0..<20))
        }
    }

    @Test func `places in a pool go to the green threads that have waited longest`() throws {
        try onHub {
            let pool = GreenPool(limit: 2)
            var order: [Int] = []
            let spawners = (0..<20).map { number in
                spawn {
                    try pool.spawn {
                        order.append(number)
                        try Greenlet.sleep(for: .milliseconds(1))
                    }
                }
            }
            try joinAll(spawners)
            try pool.join()
            #expect(order == Array(0..<20))
        }
    }
}

/// Two ends of a unix socket: the bytes that one end writes are at the other at once.
private func unixPair() throws -> (connection: Connection, peer: Peer) {
    var ends: [Int32] = [-1, -1]
    let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    try #require(socketpair(AF_UNIX, type, 0, &ends) == 0)
    return (Connection(descriptor: ends[0], peer: SocketAddress.unix(path: "peer")), Peer(ends[1]))
}

extension Peer {
    /// All bytes that have come so far.
    fileprivate func readAll() throws -> [UInt8] {
        var all: [UInt8] = []
        while case .bytes(let some) = read() { all += some }
        return all
    }
}

/// Waits until all `greenlets` wait and the kernel watches their descriptors.
///
/// The loop registers descriptors at its next poll.  A deadline that has
/// passed shows that the loop was polled.
private func waitUntilWatched<Value>(_ greenlets: [Greenlet<Value>]) throws {
    try waitUntil { greenlets.allSatisfy { $0.state == .waiting } }
    try Greenlet.sleep(for: .milliseconds(1))
}
