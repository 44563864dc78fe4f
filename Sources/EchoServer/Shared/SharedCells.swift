import GreenNet
import Synchronization

/// Numbers in memory that forked children share, of which a few are changed together, or none.
///
/// The caller holds a lock.  `set` notes what a cell had before it changes the cell, and `commit` forgets the notes: the next holder of the
/// lock can undo what a process had begun that was killed inside.  A kill comes between two instructions, and the stores before it have
/// taken effect; that they are releasing keeps the compiler from changing their order.
struct SharedCells: @unchecked Sendable {
    // Unchecked: touched under the lock only.
    private let cells: UnsafeMutablePointer<Atomic<UInt32>>
    /// How many notes there are, and for each the cell and what it had.
    private let notes: UnsafeMutablePointer<Atomic<UInt32>>

    /// More than any change needs.
    static let mostNotes = 64

    /// All are 0: so the kernel hands memory out, at the first touch of a page.
    init(count: Int) throws(StartFailure) {
        cells = try SharedMemory.allocate(count, of: Atomic<UInt32>.self)
        notes = try SharedMemory.allocate(1 + 2 * SharedCells.mostNotes, of: Atomic<UInt32>.self)
    }

    subscript(cell: Int) -> Int { Int(cells[cell].load(ordering: .relaxed)) }

    func set(_ cell: Int, to value: Int) {
        let count = Int(notes[0].load(ordering: .relaxed))
        require(count < SharedCells.mostNotes, "\(count) changes without a commit")
        notes[1 + 2 * count].store(UInt32(cell), ordering: .releasing)
        notes[2 + 2 * count].store(cells[cell].load(ordering: .relaxed), ordering: .releasing)
        notes[0].store(UInt32(count + 1), ordering: .releasing)
        cells[cell].store(UInt32(value), ordering: .releasing)
    }

    func add(_ amount: Int, to cell: Int) { set(cell, to: self[cell] + amount) }

    func commit() { notes[0].store(0, ordering: .releasing) }

    /// Takes back all since the last `commit`.  Where the process is killed in it, the next holder of the lock does all of it again.
    func undo() {
        for index in (0..<Int(notes[0].load(ordering: .relaxed))).reversed() {
            let cell = Int(notes[1 + 2 * index].load(ordering: .relaxed))
            cells[cell].store(notes[2 + 2 * index].load(ordering: .relaxed), ordering: .releasing)
        }
        commit()
    }
}
