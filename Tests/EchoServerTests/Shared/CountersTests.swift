import CForkServer
import Synchronization
import TestSupport
import Testing

@testable import EchoServer

/// One OS thread counts while another reads.
@Suite struct CountersTests {
    @Test(arguments: [true, false])
    func `another OS thread sees no end of a connection before its beginning`(isOwn: Bool) throws {
        let counters = try Counters(rows: 2)
        let hasEnded = Atomic(false)
        let row = CounterRow(counters: counters, row: 1, isOwn: isOwn)
        try onOSThread {
            let serving = TestThread {
                for number in 0..<200_000 {
                    row.add(to: .accepted)
                    row.add(to: Counter.endings[number % Counter.endings.count])
                }
                hasEnded.store(true, ordering: .releasing)
            }
            while !hasEnded.load(ordering: .acquiring) {
                #expect(counters.totals.open >= 0)
                #expect(counters.open >= 0)
            }
            try serving.value()
        }
        #expect(counters.totals[.accepted] == 200_000)
        #expect(counters.totals.open == 0)
    }

    /// A fork server's children know the counters by their places.
    @Test func `a fork server's children count where the server does, and no counter is where the other cells are`() {
        #expect(Counter.reads.rawValue == fork_reads)
        #expect(Counter.bytesIn.rawValue == fork_bytes_in)
        #expect(Counter.bytesOut.rawValue == fork_bytes_out)
        #expect(Counter.allCases.count <= fork_version)
    }
}
