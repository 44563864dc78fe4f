import TestSupport
import Testing

@testable import GreenNet

struct SpareMemoryTests {
    @Test func `the piece that was kept last is used first`() {
        var spare = SpareMemory(limit: 2)
        let pieces = (0..<2).map { _ in UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64) }
        let none = spare.take()
        #expect(none == nil)
        for piece in pieces {
            let isKept = spare.keep(piece)
            #expect(isKept)
        }
        let taken = [spare.take(), spare.take(), spare.take()]
        #expect(taken == [pieces[1], pieces[0], nil])
        for piece in pieces { piece.deallocate() }
    }

    @Test func `no more pieces are kept than the limit`() {
        var spare = SpareMemory(limit: 2)
        defer { spare.free() }
        let pieces = (0..<3).map { _ in UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64) }
        let areKept = pieces.map { spare.keep($0) }
        #expect(areKept == [true, true, false])
        pieces[2].deallocate()
    }

    @Test(.enabled(if: Sanitizer.active != .address, "under AddressSanitizer none is kept"))
    func `a connection that begins gets the memory of one that has ended`() throws {
        try onHub {
            func address() throws -> UnsafeMutablePointer<SocketState> {
                let (one, other) = try Connection.pair()
                withExtendedLifetime(other) {}
                return one.socket.state
            }
            let again = try (0..<10).map { _ in try address() }
            // A pair has two.
            #expect(Set(again).count <= 2)
        }
    }
}
