/// Lets green threads wait for each other until so many have come; then all go on, and it begins anew.
///
/// One that gives up, killed or late, is not counted any more; the others go on waiting for one in its place.  Belongs to its OS thread.
public final class GreenBarrier {
    /// How many have to come.
    public let parties: Int
    // Raw memory: green threads stand in it while they wait.
    private let waiting = WaitQueue.make()

    /// A barrier that opens for so many.
    public init(_ parties: Int) {
        require(parties > 0, "a barrier for \(parties): it takes 1 green thread or more")
        self.parties = parties
    }

    deinit { waiting.deallocate() }

    /// How many wait now.
    public var count: Int { waiting.count }

    /// Waits until enough have come, or until `deadline`.  Returns whether they have.  Throws when killed or when an enclosing time limit is
    /// over, unless enough had come before.
    @discardableResult
    public func wait(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        if count + 1 == parties {
            waiting.wakeAll()
            return true
        }
        let thread = Hub.currentThread
        switch thread.error(after: thread.wait(for: .barrier, until: deadline, in: waiting)) {
        case nil: return true
        case .deadlinePassed: return false
        case let error?: throw error
        }
    }
}

@available(*, unavailable)
extension GreenBarrier: Sendable {}
