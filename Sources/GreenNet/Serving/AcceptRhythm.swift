/// How many connections an accept loop accepts after a wait before it waits again: as many as there were of late.
///
/// An accept that finds no connection is a system call for nothing: where clients come one at a time, each of them would cost one.  The wait itself costs none, since
/// the loop goes on watching the listener, and ends at once where connections are left.  Every few waits the loop accepts until none is left,
/// to find out how many there are.
struct AcceptRhythm {
    /// One wait in this many ends with a count.
    static let waitsPerCount = 8

    /// How many there were at the last count.
    private(set) var expected = 1
    private var accepted = 0
    private var waits = waitsPerCount - 1

    private var isCount: Bool { waits == AcceptRhythm.waitsPerCount - 1 }

    /// A connection was accepted.  Returns whether to wait before the next accept.
    mutating func shouldWait() -> Bool {
        accepted += 1
        if isCount || accepted < expected { return false }
        accepted = 0
        waits += 1
        return true
    }

    /// An accept has found no connection.
    mutating func foundNone() {
        expected = max(1, accepted)
        (accepted, waits) = (0, 0)
    }
}
