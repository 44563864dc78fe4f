import GreenNet
import Synchronization

/// Why a client's address gets no connection, or none more.
enum ClientRefusal: String, CaseIterable, Sendable {
    /// The address has as many as it may have.
    case peerFull
    /// It is denied, or others are allowed.
    case denied
    /// Its connections come faster than they may.
    case tooFast
}

/// Admits clients whose address the accept loop can't see: a proxy says it, once the connection is served.
struct ClientAdmission: Sendable {
    private let shared: SharedAdmission
    private let row: Int
    /// Where a process keeps what it has to give back; nil where its row is settled as a whole when it dies.
    private(set) var note: CrashNote?

    init(_ shared: SharedAdmission, row: Int) { (self.shared, self.row) = (shared, row) }

    /// For a process that serves one connection on the row of its parent.
    func noting(in note: CrashNote?) -> ClientAdmission {
        var admission = self
        admission.note = note
        return admission
    }

    /// The limits for one connection that an OS thread accepts by itself: such rows share no variables.
    func newRow() -> AdmissionRow { AdmissionRow(shared, row: row, of: 1) }

    /// Whether a place is free, now.
    var hasPlace: Bool { shared.hasPlace }

    /// Returns why `client` is refused; nil where its connection counts from now on, until `leave`.
    func admit(_ client: SocketAddress) -> ClientRefusal? {
        let refusal = shared.admitClient(client, row: row)
        if refusal == nil, let key = shared.key(of: client) { note?.write(key) }
        return refusal
    }

    func leave(_ client: SocketAddress) {
        note?.clear()
        shared.leaveClient(client, row: row)
    }

    /// Gives back what a child has held that has died.
    func settle(_ note: CrashNote) {
        if let key = note.take() { shared.leaveClient(key: key, row: row) }
    }
}

/// What a child process of one connection has counted and not given back, in memory that it shares with its parent.
///
/// Where the child is killed between the count and the note, one connection of its client stays counted.
final class CrashNote: @unchecked Sendable {
    // Unchecked: all that is behind the pointer is atomic.
    private let words: UnsafeMutablePointer<Atomic<UInt64>>

    /// Throws where there is no memory.  It is never freed: its owner uses it again.
    init() throws(StartFailure) { words = try SharedMemory.allocate(3, of: Atomic<UInt64>.self) }

    func write(_ key: PeerTable.Address) {
        words[1].store(key.0, ordering: .relaxed)
        words[2].store(key.1, ordering: .relaxed)
        words[0].store(1, ordering: .releasing)
    }

    func clear() { words[0].store(0, ordering: .releasing) }

    /// Returns what is noted, and clears it.
    func take() -> PeerTable.Address? {
        guard words[0].exchange(0, ordering: .acquiring) != 0 else { return nil }
        return (words[1].load(ordering: .relaxed), words[2].load(ordering: .relaxed))
    }
}
