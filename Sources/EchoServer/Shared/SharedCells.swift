import GreenNet
import Synchronization

/// Numbers in memory that forked children share.  Several changes take effect together, or not at all.
///
/// The caller holds a lock.  `set` notes the old value of a cell before it changes the cell, and `commit` drops the notes: where a process is
/// killed in between, the next holder of the lock undoes its changes.  A kill comes between two instructions, and the stores before it have
/// taken effect; releasing stores keep the compiler from changing their order.
struct SharedCells: @unchecked Sendable {
    // Unchecked: touched under the lock only.
    private let cells: UnsafeMutablePointer<Atomic<UInt32>>
    /// The number of notes, and for each note the cell and its old value.
    private let notes: UnsafeMutablePointer<Atomic<UInt32>>

    /// More notes than any change needs.
    static let mostNotes = 64

    /// All cells are 0: the kernel hands out zeroed pages.
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

    /// Takes back all changes since the last `commit`.  Where the process is killed in it, the next holder of the lock does all of it again.
    func undo() {
        for index in (0..<Int(notes[0].load(ordering: .relaxed))).reversed() {
            let cell = Int(notes[1 + 2 * index].load(ordering: .relaxed))
            cells[cell].store(notes[2 + 2 * index].load(ordering: .relaxed), ordering: .releasing)
        }
        commit()
    }
}
