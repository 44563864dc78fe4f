import Testing

@testable import EchoServer

@Suite struct SharedCellsTests {
    @Test func `uncommitted changes are taken back, each cell to its first value`() throws {
        let cells = try SharedCells(count: 8)
        for cell in 0..<8 { cells.set(cell, to: cell * 100) }
        cells.commit()
        cells.set(3, to: 1)
        cells.add(7, to: 5)
        cells.set(3, to: 2)
        cells.undo()
        #expect((0..<8).map { cells[$0] } == (0..<8).map { $0 * 100 })
        // Nothing is left to take back.
        cells.set(4, to: 1)
        cells.commit()
        cells.undo()
        #expect(cells[4] == 1)
    }

    /// A process may be killed after any of its stores.
    @Test(arguments: 0...SharedCells.mostNotes)
    func `after any number of changes, all of them are taken back`(count: Int) throws {
        let cells = try SharedCells(count: 16)
        for number in 0..<count { cells.set(number % 16, to: number + 1) }
        cells.undo()
        #expect((0..<16).allSatisfy { cells[$0] == 0 })
    }

    @Test func `a cell holds 32 bits`() throws {
        let cells = try SharedCells(count: 1)
        cells.set(0, to: Int(UInt32.max))
        cells.commit()
        #expect(cells[0] == Int(UInt32.max))
    }
}
