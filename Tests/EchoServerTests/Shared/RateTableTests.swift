import GreenNet
import Testing

@testable import EchoServer

@Suite struct RateTableTests {
    private func table(_ rate: String) throws -> RateTable { try RateTable(#require(ConnectionRate(rate))) }

    @Test func `an address may use up its rate at once, and then gets one connection in each interval`() throws {
        let (table, start) = (try table("4/2"), Deadline.now)
        for _ in 0..<4 { #expect(table.take((0, 7), at: start)) }
        #expect(!table.take((0, 7), at: start))
        #expect(!table.take((0, 7), at: start + .milliseconds(499)))
        #expect(table.take((0, 7), at: start + .milliseconds(500)))
        #expect(!table.take((0, 7), at: start + .milliseconds(501)))
        // Idle for the whole time, it has the whole rate again.
        for _ in 0..<4 { #expect(table.take((0, 7), at: start + .seconds(10))) }
        #expect(!table.take((0, 7), at: start + .seconds(10)))
    }

    @Test func `a refused connection does not count`() throws {
        let (table, start) = (try table("1"), Deadline.now)
        #expect(table.take((1, 1), at: start))
        for step in 0..<100 { #expect(!table.take((1, 1), at: start + .milliseconds(step * 9))) }
        #expect(table.take((1, 1), at: start + .seconds(1)))
    }

    @Test func `each address has a rate of its own`() throws {
        let (table, start) = (try table("1/86400"), Deadline.now)
        for address in 0..<1000 as Range<UInt64> { #expect(table.take((address, 0), at: start)) }
        for address in 0..<1000 as Range<UInt64> { #expect(!table.take((address, 0), at: start)) }
    }

    @Test func `with more addresses than there is room for, none is refused that is new`() throws {
        let (table, start) = (try table("1/86400"), Deadline.now)
        for address in 0..<200_000 as Range<UInt64> { #expect(table.take((0, address), at: start)) }
    }
}
