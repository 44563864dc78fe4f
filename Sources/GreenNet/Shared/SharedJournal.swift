/// Makes several changes of words take effect together, or not at all.
///
/// Used under the gate: `set` notes what a word was before it changes the word, and `commit` drops the notes.  Where the process is killed in between, the next
/// one under the gate calls `undo`.
struct SharedJournal: Sendable {
    /// The number of notes, and for each the word's place and its old value.
    private let notes: SharedWord

    private static let most = 15
    static let bytes = 8 * (2 + 2 * most)

    init(at address: UnsafeMutableRawPointer) { notes = SharedWord(address) }

    func set(_ word: SharedWord, to value: UInt64) {
        let count = Int(notes.value)
        require(count < SharedJournal.most, "\(count) changes without a commit")
        notes[1 + 2 * count].value = UInt64(distance(to: word))
        notes[2 + 2 * count].value = word.value
        notes.value = UInt64(count + 1)
        word.value = value
    }

    func commit() { notes.value = 0 }

    /// Where the process is killed in it, the next one does all of it again.
    func undo() {
        for index in (0..<Int(notes.value)).reversed() {
            let word = notes[Int(notes[1 + 2 * index].value)]
            word.value = notes[2 + 2 * index].value
        }
        commit()
    }

    /// In words: the memory is at another address in each process.
    private func distance(to word: SharedWord) -> Int {
        (UnsafeMutableRawPointer(word.atomic) - UnsafeMutableRawPointer(notes.atomic)) / 8
    }
}
