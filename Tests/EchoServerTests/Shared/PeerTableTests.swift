import TestSupport
import Testing

@testable import EchoServer

@Suite struct PeerTableTests {
    /// The expected contents of the table: connections by address and row.
    private struct Model {
        var counts: [UInt64: [Int: Int]] = [:]

        func count(of address: UInt64) -> Int { counts[address]?.values.reduce(0, +) ?? 0 }
        func has(_ address: UInt64, _ row: Int) -> Bool { (counts[address]?[row] ?? 0) > 0 }
        var addresses: Int { counts.count }
        var connections: Int { counts.keys.reduce(0) { $0 + count(of: $1) } }

        mutating func add(_ amount: Int, to address: UInt64, _ row: Int) {
            counts[address, default: [:]][row, default: 0] += amount
            if counts[address]![row] == 0 { counts[address]![row] = nil }
            if counts[address]!.isEmpty { counts[address] = nil }
        }

        mutating func remove(row: Int) {
            for address in counts.keys { counts[address]![row] = nil }
            counts = counts.filter { !$0.value.isEmpty }
        }
    }

    /// An IPv4 address or an IPv6 address.
    private func address(_ number: UInt64) -> (UInt64, UInt64) {
        number % 2 == 0 ? (0, number) : (0x2001_0db8_0000_0000 | number, number &* 0x9e37_79b9_7f4a_7c15)
    }

    private func expect(_ table: PeerTable, _ model: Model, _ addresses: UInt64) {
        for number in 0..<addresses { #expect(table.count(of: address(number)) == model.count(of: number)) }
    }

    @Test(arguments: [(20, 3, 12), (200, 8, 100), (1000, 1, 400)])
    func `the table counts connections that come, go and die, and takes back uncommitted changes`(
        connections: Int, rows: Int, addresses: UInt64
    ) throws {
        let table = try PeerTable(connections: connections, rows: rows)
        var (model, random) = (Model(), SystemRandomNumberGenerator())
        for step in 0..<5000 {
            let (number, row) = (
                UInt64.random(in: 0..<addresses, using: &random), Int.random(in: 0..<rows, using: &random)
            )
            var next = model
            let action = Int.random(in: 0..<100, using: &random)
            switch action {
            case 0:
                // The row's process dies, and its connections are taken away address by address.
                let held = model.counts.values.count { $0[row] != nil }
                for _ in 0..<held {
                    #expect(table.removeSome(of: row))
                    table.commit()
                }
                #expect(!table.removeSome(of: row))
                next.remove(row: row)
            case 1..<55 where model.connections < connections:
                #expect(table.add(address(number), row: row))
                next.add(1, to: number, row)
            case 55... where model.has(number, row):
                table.remove(address(number), row: row)
                next.add(-1, to: number, row)
            default: continue
            }
            if action > 0, step % 3 == 0 {
                // The process is killed before the commit.
                table.undo()
            } else {
                table.commit()
                model = next
            }
            if step % 100 == 0 { expect(table, model, addresses) }
        }
        expect(table, model, addresses)
        for row in 0..<rows { while table.removeSome(of: row) { table.commit() } }
        expect(table, Model(), addresses)
    }

    @Test func `a full table refuses a further address, and others go on`() throws {
        let table = try PeerTable(connections: 2, rows: 2)
        // An address takes a node for itself and a node for each of its rows.
        #expect(table.add(address(1), row: 0))
        table.commit()
        #expect(table.add(address(2), row: 0))
        table.commit()
        for _ in 0..<3 {
            #expect(!table.add(address(3), row: 0))
            #expect(!table.add(address(1), row: 1))
            table.commit()
        }
        #expect(table.add(address(1), row: 0))
        table.commit()
        #expect(table.count(of: address(1)) == 2)
        #expect(table.count(of: address(3)) == 0)
        table.remove(address(2), row: 0)
        table.commit()
        #expect(table.add(address(3), row: 1))
        table.commit()
        #expect(table.count(of: address(3)) == 1)
    }

    @Test func `a missing connection is not taken away`() throws {
        let table = try PeerTable(connections: 2, rows: 2)
        table.remove(address(1), row: 0)
        #expect(table.add(address(1), row: 0))
        table.remove(address(1), row: 1)
        table.commit()
        #expect(table.count(of: address(1)) == 1)
        #expect(!table.removeSome(of: 1))
    }
}
