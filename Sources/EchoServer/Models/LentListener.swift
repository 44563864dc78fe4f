import GreenNet

/// A listener from which OS threads of a pool accept by themselves, while the accept loop of the hub waits in `untilLeft`.
///
/// Made for each time that it is lent, on the hub.
final class LentListener: Sendable {
    /// Read by those that accept, and written where that ends: a listener that is closed afterwards is not accepted from.
    private let loan = ReadMostly(Loan())
    private let left = RemoteEvent()
    private let socket: ListeningSocket
    private let set: ListenerSet
    /// By which `set` reports it.
    let number: UInt64

    private struct Loan {
        var goesOn = false
        /// What an accept has met that the accept loop is to handle.
        var failure: NetError?
    }

    init(_ socket: ListeningSocket, in set: ListenerSet, as number: UInt64) {
        (self.socket, self.set, self.number) = (socket, set, number)
    }

    // MARK: On the hub

    /// Throws where the kernel has no memory for it.
    func lend() throws(SystemError) {
        try loan.write { loan throws(SystemError) in
            try set.watch(socket, as: number)
            loan.goesOn = true
        }
    }

    /// Waits until the OS threads leave it.  Throws what they have met.
    func untilLeft() throws(NetError) {
        do throws(WaitError) { try left.wait() } catch { throw NetError(.accept, .wait(error), socket.address) }
        if let failure = loan.read({ $0.pointee.failure }) { throw failure }
    }

    // MARK: On any OS thread

    /// Ends the loan: when it returns, no OS thread accepts.  Returns whether that was so before.
    @discardableResult
    func takeBack(_ failure: NetError? = nil) -> Bool {
        loan.write { loan in
            guard loan.goesOn else { return false }
            loan = Loan(failure: failure)
            set.remove(socket)
            return true
        }
    }

    /// Leaves the next client, and what an accept has met, to the accept loop.
    func leave(_ failure: NetError? = nil) { if takeBack(failure) { left.set() } }

    /// The next client, which `register` is told of before the loan can end; nil where there is none, or the loan has ended.
    func accept(register: (consuming PendingConnection) -> ThreadConnection) throws(NetError) -> ThreadConnection? {
        try loan.read { loan throws(NetError) in
            guard loan.pointee.goesOn, let client = try socket.acceptNow(blocking: true) else { return nil }
            return register(client)
        }
    }

    /// The next client wakes an OS thread that waits, at once where the client is there.  Where the kernel refuses that, the accept loop has its turn.
    func watchAgain() {
        let isWatched = loan.read { !$0.pointee.goesOn || set.watchAgain(socket, as: number) }
        if !isWatched { leave() }
    }
}
