import Glibc
import GreenNet
import Synchronization
import TestSupport
import Testing

@testable import EchoServer

@Suite struct SharedAdmissionTests {
    private func peer(_ number: Int) -> SocketAddress {
        SocketAddress(ip: "10.\(number >> 16).\(number >> 8 & 255).\(number & 255)", port: 1)!
    }

    private func rows(_ shared: SharedAdmission, _ count: Int) -> [AdmissionRow] {
        (0..<count).map { AdmissionRow(shared, row: $0, of: count) }
    }

    private func settle(_ shared: SharedAdmission, row: Int) -> Int {
        var pieces = 1
        while !shared.settleDeath(row: row) { pieces += 1 }
        return pieces
    }

    @Test func `places are those of all rows, and a death gives back the dead one's`() throws {
        let shared = try SharedAdmission(places: 5, most: 10, perPeer: nil, rows: 2)
        let rows = rows(shared, 2)
        for number in 0..<5 { #expect(rows[number % 2].reserve()) }
        #expect(!rows[0].reserve() && !rows[1].reserve())
        #expect(settle(shared, row: 0) == 1)
        for _ in 0..<3 { #expect(rows[1].reserve()) }
        #expect(!rows[1].reserve())
        shared.places = 6
        #expect(rows[0].reserve())
        #expect(!rows[0].reserve())
    }

    @Test func `who is a proxy may change while its connections are open`() throws {
        let proxies = Mutex<AddressRanges?>(nil)
        func set(_ ranges: String?) { proxies.withLock { $0 = ranges.map { AddressRanges($0)! } } }
        let shared = try SharedAdmission(
            places: 10, most: 10, perPeer: 2, rules: { AdmissionRules(ClientPolicy(), proxies.withLock { $0 }) },
            rows: 1)
        let row = rows(shared, 1)[0]
        #expect(row.admit(peer(1)) && row.admit(peer(1)) && !row.admit(peer(1)))
        set("10.0.0.0/8")
        #expect(row.admit(peer(2)) && row.admit(peer(2)) && row.admit(peer(2)))
        row.leave(peer(1))
        set(nil)
        // One of the first is left, and those of the proxy were not counted.
        #expect(row.admit(peer(1)) && !row.admit(peer(1)))
        for _ in 0..<3 { row.leave(peer(2)) }
        #expect(row.admit(peer(2)) && row.admit(peer(2)) && !row.admit(peer(2)))
    }

    @Test func `a peer has its limit of places over all rows, and a death gives back those of the dead row`() throws {
        let shared = try SharedAdmission(places: 100, most: 100, perPeer: 3, rows: 2)
        let rows = rows(shared, 2)
        #expect(rows[0].admit(peer(1)) && rows[0].admit(peer(1)) && rows[1].admit(peer(1)))
        #expect(!rows[0].admit(peer(1)) && !rows[1].admit(peer(1)))
        #expect(rows[1].admit(peer(2)))
        #expect(settle(shared, row: 0) == 1)
        #expect(rows[1].admit(peer(1)) && rows[1].admit(peer(1)))
        #expect(!rows[1].admit(peer(1)))
        rows[1].leave(peer(1))
        #expect(rows[1].admit(peer(1)))
    }

    /// Other processes wait for one piece at most.
    @Test func `the connections of a dead row are given back in pieces`() throws {
        let (count, shared) = (
            5 * SharedAdmission.batch, try SharedAdmission(places: 10_000, most: 10_000, perPeer: 1, rows: 2)
        )
        let rows = rows(shared, 2)
        for number in 0..<count { #expect(rows[0].admit(peer(number))) }
        #expect(!shared.settleDeath(row: 0))
        #expect(settle(shared, row: 0) == 5)
        for number in 0..<count { #expect(rows[1].admit(peer(number))) }
    }

    /// Addresses without connections are not visited, and their pages are not touched.
    @Test(arguments: [1 << 20, 10_000_000])
    func `the cost of a death depends on the row's connections, not on their limit`(most: Int) throws {
        let before = try #require(ProcessStatus(getpid())).residentMemory
        let shared = try SharedAdmission(places: most, most: most, perPeer: 10, rows: 8)
        let rows = rows(shared, 8)
        for number in 0..<100 { #expect(rows[number % 8].admit(peer(number))) }
        let start = Deadline.now
        #expect(settle(shared, row: 3) == 1)
        #expect(.now - start < .milliseconds(5) * Sanitizer.slowness + slack)
        let after = try #require(ProcessStatus(getpid())).residentMemory
        #expect(after - before < 4 << 20)
    }

    // MARK: The lock

    @Test func `the holder of the lock can be read without it, and a caller that must not wait gets nil`() throws {
        let lock = try WorkerLock {}
        let (isHeld, release) = (Handoff<Void>(), Handoff<Void>())
        #expect(lock.holder == nil)
        #expect(lock.lockedIfFree { lock.holder != nil } == true)
        let holder = TestThread {
            lock.locked {
                isHeld.give()
                _ = release.take()
            }
        }
        _ = isHeld.take()
        let first = try #require(lock.holder)
        #expect(first.process == getpid())
        #expect(lock.holder == first)
        #expect(lock.lockedIfFree { true } == nil)
        release.give()
        try holder.value()
        #expect(lock.holder == nil)
        lock.locked { #expect(lock.holder != first && lock.holder != nil) }
    }
}

@Suite struct LiveValueTests {
    private struct Four: BitwiseCopyable, Sendable {
        var (a, b, c, d) = (0, 0, 0, 0)

        init(_ number: Int) { (a, b, c, d) = (number, number, number, number) }
    }

    @Test func `a reader sees one whole value, and the newest in the end`() throws {
        let shared = try LiveValue(Four(0))
        let isDone = Atomic(false)
        try onOSThread {
            let writer = TestThread {
                for number in 1...100_000 { shared.value = Four(number) }
                isDone.store(true, ordering: .releasing)
            }
            var last = 0
            while !isDone.load(ordering: .acquiring) {
                let value = shared.value
                #expect(value.a == value.b && value.b == value.c && value.c == value.d && value.a >= last)
                last = value.a
            }
            try writer.value()
        }
        #expect(shared.value.d == 100_000)
    }
}
