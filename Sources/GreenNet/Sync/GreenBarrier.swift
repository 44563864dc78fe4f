/// A barrier: green threads wait for each other until `parties` of them have arrived; then all go on, and the barrier closes again.
///
/// A green thread that is killed or late is not counted any more; the others wait for another in its place.  For one OS thread: see <doc:WithAsyncCode>.
public final class GreenBarrier: HubObject {
    /// How many green threads have to arrive.
    public let parties: Int
    @exclusivity(unchecked)
    var owner = Owner()
    // Raw memory: green threads are in it while they wait.
    private let waiting = WaitQueue.make()

    /// Green threads inside `wait`, with the ones that were woken and have not run since.  Where these are too few, the queue is not counted.
    @exclusivity(unchecked)  // no access lasts across a wait
    private var inside = 0

    /// A barrier that opens when `parties` green threads have arrived.
    public init(_ parties: Int) {
        require(parties > 0, "a barrier for \(parties): it takes 1 green thread or more")
        self.parties = parties
    }

    deinit { waiting.deallocate() }

    /// How many green threads wait now.  Counted one by one: one that is killed leaves at once.
    public var count: Int { waiting.count }

    /// Waits until `parties` green threads have arrived, or until `deadline`.  Returns whether they have.  Callable from any green thread.
    ///
    /// Throws when the caller is killed or an enclosing time limit is over, unless the barrier had opened before.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func wait(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        let thread = ownThread()
        if inside + 1 >= parties, count + 1 == parties {
            waiting.wakeAll()
            return true
        }
        inside += 1
        defer { inside -= 1 }
        switch thread.error(after: thread.wait(for: .barrier, until: deadline, in: waiting)) {
        case nil: return true
        case .deadlinePassed: return false
        case let error?: throw error
        }
    }
}

@available(*, unavailable)
extension GreenBarrier: Sendable {}
