import Glibc
import Testing

@testable import EchoServer

@Suite struct SharedRoomTests {
    private let process = getpid()

    @Test func `small allocations lie side by side, each in cache lines of its own`() throws {
        var room = SharedRoom()
        let first = try room.take(1, in: process)
        let second = try room.take(SharedRoom.alignment, in: process)
        let third = try room.take(SharedRoom.alignment + 1, in: process)
        #expect(second == first + SharedRoom.alignment && third == second + SharedRoom.alignment)
        #expect(try room.take(1, in: process) == third + 2 * SharedRoom.alignment)
    }

    @Test func `no two allocations overlap, however many there are, and all are zeroed`() throws {
        var room = SharedRoom()
        for number in 1...200 {
            let bytes = UnsafeMutableRawBufferPointer(start: try room.take(1000, in: process), count: 1000)
            #expect(bytes.allSatisfy { $0 == 0 }, "allocation \(number)")
            bytes.initializeMemory(as: UInt8.self, repeating: 0xAA)
        }
    }

    @Test(arguments: [(SharedRoom.mostTogether, true), (SharedRoom.mostTogether + 1, false)])
    func `a quarter of the room is the most that is taken from it`(bytes: Int, isTogether: Bool) throws {
        var room = SharedRoom()
        let before = try room.take(1, in: process)
        let memory = try room.take(bytes, in: process)
        #expect((memory == before + SharedRoom.alignment) == isTogether)
        #expect(memory.loadUnaligned(fromByteOffset: bytes - 1, as: UInt8.self) == 0)
    }

    @Test func `a child takes nothing from the mapping that its siblings have too`() throws {
        var room = SharedRoom()
        let parents = try room.take(1, in: process)
        let childs = try room.take(1, in: process + 1)
        #expect(!(0..<SharedRoom.bytes).contains(childs - parents))
        #expect(try room.take(1, in: process + 1) == childs + SharedRoom.alignment)
    }

    @Test func `what cannot be mapped is an error`() { #expect(throws: (any Error).self) { try tooMuch() } }

    private func tooMuch() throws {
        var room = SharedRoom()
        _ = try room.take(1 << 60, in: process)
    }
}
