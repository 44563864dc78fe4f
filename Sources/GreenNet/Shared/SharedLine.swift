/// The waits of all processes for one thing, in shared memory.  Used under the gate.
///
/// A wait has a cell, with the process and its bell, and a word: 0 while the cell is free, else the wait's ticket, by which the oldest comes first, and whether
/// it was rung.  **A ring says only: look again.**  It comes before the change that it announces, in the same hold of the gate: where the process that rings is
/// killed, either the change has not happened, or the ring was made.  `repair` makes a wait that was marked, and perhaps not rung, wait again.
struct SharedLine: Sendable {
    /// How many cells are in use, one more than the highest of them, and the last ticket.
    private let head: SharedWord
    private let words: SharedWord
    /// Of each cell, the process and the number of its bell.
    private let cells: SharedWord

    /// How many can wait at once.  Those beyond look again every now and then.
    static let capacity = 1024
    static let bytes = 64 + 24 * capacity

    private static let isRung: UInt64 = 1

    init(at address: UnsafeMutableRawPointer) {
        head = SharedWord(address)
        words = SharedWord(address + 64)
        cells = SharedWord(address + 64 + 8 * SharedLine.capacity)
    }

    private var count: SharedWord { head }
    private var high: SharedWord { head[1] }
    private var ticket: SharedWord { head[2] }

    /// Whether there is any wait.
    @inline(__always)
    var isEmpty: Bool { count.value == 0 }

    /// A wait: its cell, and what the word of it is while it was not rung.
    struct Place {
        fileprivate let cell: Int
        let word: SharedWord
        let waiting: UInt64
    }

    // MARK: The one that waits

    /// Nil where there is no room.
    func enter(bell: UInt64) -> Place? {
        guard let cell = freeCell() else { return nil }
        cells[2 * cell].value = ProcessIdentity.own.bits
        cells[2 * cell + 1].value = bell
        ticket.value += 1
        count.value += 1
        high.value = max(high.value, UInt64(cell) + 1)
        let waiting = ticket.value << 1
        words[cell].value = waiting
        return Place(cell: cell, word: words[cell], waiting: waiting)
    }

    private func freeCell() -> Int? {
        let used = Int(high.value)
        return (0..<used).first { words[$0].value == 0 } ?? (used < SharedLine.capacity ? used : nil)
    }

    /// It was rung, and has found nothing.  Returns false where it has no cell any more: a process that can't reach its bell, from another network namespace
    /// say, has taken it for dead.
    func waitAgain(_ place: Place) -> Bool {
        guard isHeld(place) else { return false }
        place.word.value = place.waiting
        return true
    }

    func leave(_ place: Place) { if isHeld(place) { free(place.cell) } }

    /// No two waits have the same ticket.
    private func isHeld(_ place: Place) -> Bool { place.word.value & ~SharedLine.isRung == place.waiting }

    private func free(_ cell: Int) {
        words[cell].value = 0
        count.value -= 1
        while high.value > 0, words[Int(high.value) - 1].value == 0 { high.value -= 1 }
    }

    // MARK: The one that changes something

    /// Wakes the one that has waited longest, of those that were not rung.  One that is gone leaves its place to the next.  Where this process can't ring, the next
    /// ring of another process, or a later one, is for that wait.
    @inline(__always)
    func ringFirst() { if !isEmpty { ringFirstCell() } }

    @inline(never)
    private func ringFirstCell() {
        while let cell = oldest() {
            if ring(cell) { return }
        }
    }

    /// As `ringFirst`, unless one that was rung has not looked yet.
    func ringOne() {
        let isPending = (0..<Int(high.value)).contains { words[$0].value & SharedLine.isRung != 0 }
        if !isPending { ringFirst() }
    }

    func ringAll() {
        for cell in 0..<Int(high.value) where isWaiting(cell) { _ = ring(cell) }
    }

    private func isWaiting(_ cell: Int) -> Bool { words[cell].value != 0 && words[cell].value & SharedLine.isRung == 0 }

    private func oldest() -> Int? {
        (0..<Int(high.value)).filter(isWaiting).min { words[$0].value < words[$1].value }
    }

    /// Returns false where the wait is gone.
    private func ring(_ cell: Int) -> Bool {
        // Marked before, so that one that hears the ring at once finds the mark.
        words[cell].value |= SharedLine.isRung
        switch Bell.ring(cells[2 * cell + 1].value) {
        case .made: return true
        case .unsent:
            words[cell].value &= ~SharedLine.isRung
            return true
        case .gone:
            free(cell)
            return false
        }
    }

    // MARK: Deaths

    /// After a process was killed under the gate.
    func repair() {
        let used = (0..<SharedLine.capacity).filter { words[$0].value != 0 }
        for cell in used { words[cell].value &= ~SharedLine.isRung }
        high.value = UInt64((used.last ?? -1) + 1)
        count.value = UInt64(used.count)
    }

    /// A wait whose process has ended: its cell, and the word that it has.
    struct DeadWait {
        fileprivate let cell: Int
        fileprivate let word: UInt64
    }

    /// Looks without the gate, for it asks the kernel: at those that were rung and have not looked, and at all where there is no room left.
    var dead: [DeadWait] {
        let isFull = count.value >= SharedLine.capacity
        var known: [UInt64: Bool] = [:]
        return (0..<min(Int(high.value), SharedLine.capacity)).compactMap { cell in
            let word = words[cell].value
            guard word != 0, isFull || word & SharedLine.isRung != 0 else { return nil }
            let process = cells[2 * cell].value
            let isAlive = known[process] ?? ProcessIdentity(bits: process).isAlive
            known[process] = isAlive
            return isAlive ? nil : DeadWait(cell: cell, word: word)
        }
    }

    func forget(_ dead: [DeadWait]) {
        for wait in dead where words[wait.cell].value == wait.word { free(wait.cell) }
    }
}
