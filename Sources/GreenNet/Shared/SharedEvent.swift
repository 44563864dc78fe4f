/// A flag that processes set and clear, and that their green threads wait for.
///
/// Made before a fork, it is the same event in the parent and the child; another program joins it by `descriptor`.  A wait parks the green thread, and on an OS
/// thread without a hub blocks that.  See <doc:BetweenProcesses>.
public final class SharedEvent: Sendable {
    private let place: SharedPlace

    private static let content = SharedRegion.Content(kind: .event, count: 1, element: 0)

    /// An event that is not set.  Throws where the kernel gives no memory.
    public init() throws(SharedMemoryError) { place = try SharedPlace(SharedEvent.content, lines: 1, bytes: 8) }

    /// The event behind `descriptor`, which another process has made, and which stays the caller's to close.
    ///
    /// Throws where there is no event behind it.
    public init(joining descriptor: Int32) throws(SharedMemoryError) {
        place = try SharedPlace(joining: descriptor, .event, lines: 1) { _ in 8 }
    }

    /// What another program needs to join; nil in a forked child, which has the event without it.
    public var descriptor: Int32? { place.region.descriptor }

    /// Whether it is set, and above that how many times it was set.
    private var word: SharedWord { place.body }

    /// Whether the event is set.  Never waits.
    public var isSet: Bool { word.value & 1 != 0 }

    /// Sets the event, and wakes all that wait for it.  Does nothing where it is set.  Never waits.
    ///
    /// Where the process is killed in it, the event is set or it is not.
    public func set() {
        place.locked {
            if isSet { return }
            place.lines[0].ringAll()
            word.value = (word.value | 1) + 2
        }
    }

    /// Clears the event.  Never waits.
    public func clear() { place.locked { word.value &= ~1 } }

    /// Waits until the event is set, or until `deadline`.  Returns whether it was set, even if it was cleared again since.
    ///
    /// Throws when the caller is killed or an enclosing time limit is over.  Callable from any green thread, and from an OS thread without a hub, which it blocks.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func wait(until deadline: Deadline = .never) throws(WaitError) -> Bool {
        // One look: a set and a clear between two would be missed.
        let now = word.value
        if now & 1 != 0 { return true }
        let before = now | 1
        do throws(WaitError) {
            try place.wait(in: place.lines[0], until: deadline) {
                isSet || word.value | 1 != before ? .done(()) : .wait
            }
            return true
        } catch {
            guard error == .deadlinePassed else { throw error }
            return false
        }
    }
}
