/// Something that has happened or has not: green threads wait until it has.
///
/// Once set it stays set, until `clear()`.  All that wait when it is set are woken, also where it is cleared again before they run.
/// Belongs to its OS thread.
public final class GreenEvent: Waitable {
    // Raw memory: green threads stand in it while they wait.
    private let waiting = WaitQueue.make()

    /// Whether it has happened.
    public private(set) var isSet = false

    /// An event that has not happened yet.
    override public init() {}

    deinit { waiting.deallocate() }

    override var isReady: Bool { isSet }

    /// It has happened.  Never waits.
    public func set() {
        isSet = true
        waiting.wakeAll()
        announce()
    }

    /// It has not happened, after all.  Never waits.
    public func clear() { isSet = false }

    /// Waits until it has happened, or until `deadline`.  Returns whether it has.  Throws when killed or when an enclosing time limit is over.
    @discardableResult
    public func wait(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        if isSet { return true }
        let thread = Hub.currentThread
        switch thread.error(after: thread.wait(for: .event, until: deadline, in: waiting)) {
        case nil: return true
        case .deadlinePassed: return isSet
        case let error?: throw error
        }
    }
}
