/// A flag that green threads wait for until it is set.
///
/// Once set it stays set, until `clear()`.  `set()` resumes every green thread that waits, even if the event is cleared before it runs.
/// For one OS thread: see <doc:WithAsyncCode>.
public final class GreenEvent: Waitable {
    @exclusivity(unchecked)  // Nothing parks during such an access.
    var observers: [Observer] = []
    // Raw memory: green threads are in it while they wait.
    private let waiting = WaitQueue.make()

    /// Whether the event is set.
    @exclusivity(unchecked)
    public private(set) var isSet = false
    @exclusivity(unchecked)
    var owner = Owner()

    /// An event that is not set.
    public init() {}

    /// Belongs to no OS thread yet, though it is set.
    init(isSet: Bool) { self.isSet = isSet }

    deinit { waiting.deallocate() }

    /// Ready while the event is set.
    public var waitSource: WaitSource { WaitSource(self) }

    /// Sets the event.  Never waits.
    public func set() {
        checkOwner()
        isSet = true
        waiting.wakeAll()
        announce()
    }

    /// Clears the event.  Never waits.
    public func clear() {
        checkOwner()
        isSet = false
    }

    /// Waits until the event is set, or until `deadline`.  Returns whether it was set.  Callable from any green thread.
    ///
    /// Throws when the caller is killed or an enclosing time limit is over.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func wait(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        if isSet { return true }
        let thread = ownThread()
        switch thread.error(after: thread.wait(for: .event, until: deadline, in: waiting)) {
        case nil: return true
        case .deadlinePassed: return isSet
        case let error?: throw error
        }
    }
}

extension GreenEvent: ReadinessSource {
    var isReady: Bool { isSet }
}

@available(*, unavailable)
extension GreenEvent: Sendable {}
