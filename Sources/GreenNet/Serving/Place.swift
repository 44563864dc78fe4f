/// The right to serve one more connection.  Its end gives the place back to the admission; `keep` leaves it to a connection, until that has ended.
package struct Place: ~Copyable {
    private let admission: any Admission
    /// The peer whose connection was counted; nil if none was.
    private var peer: SocketAddress?
    private var isKept = false

    /// Nil where no place is free.
    package init?(in admission: any Admission) {
        guard admission.reserve() else { return nil }
        self.admission = admission
    }

    /// The place of a connection of `peer`, which has ended.
    init(keptFor peer: SocketAddress, in admission: any Admission) { (self.admission, self.peer) = (admission, peer) }

    /// Returns whether `peer` may have one more connection, and counts it.
    package mutating func admit(_ peer: SocketAddress) -> Bool {
        guard admission.admit(peer) else { return false }
        self.peer = peer
        return true
    }

    /// Leaves the place to the connection, until that has ended.
    consuming func keep() { isKept = true }

    /// Gives it back now.
    package consuming func giveBack() {}

    deinit {
        if isKept { return }
        if let peer { admission.leave(peer) }
        admission.release()
    }
}
