import Synchronization

/// A number of permits, which the green threads of several processes take and give back.
///
/// Made before a fork, it is the same semaphore in the parent and the child; another program joins it by `descriptor`.  A permit belongs to the process that has
/// taken it: only that can give it back, and where that ends with the permit, the permit is available again.  A wait parks the green thread, and on an OS thread
/// without a hub blocks that.  See <doc:BetweenProcesses>.
public final class SharedSemaphore: Sendable {
    private let place: SharedPlace
    /// How many permits there are.
    public let permits: Int

    /// How many permits there can be.
    public static let range = 1...4096

    private static func bytes(_ content: SharedRegion.Content) -> Int { 8 * content.count }

    /// A semaphore with `permits` permits, 1 to 4096, all of them available.  Throws where the kernel gives no memory.
    public init(_ permits: Int = 1) throws(SharedMemoryError) {
        require(
            SharedSemaphore.range.contains(permits),
            "a shared semaphore with \(permits) permits; 1 to 4096 are possible")
        let content = SharedRegion.Content(kind: .semaphore, count: permits, element: 8)
        place = try SharedPlace(content, lines: 1, bytes: SharedSemaphore.bytes(content))
        self.permits = permits
    }

    /// The semaphore behind `descriptor`, which another process has made, and which stays the caller's to close.
    ///
    /// Throws where there is no semaphore behind it.
    public init(joining descriptor: Int32) throws(SharedMemoryError) {
        place = try SharedPlace(joining: descriptor, .semaphore, lines: 1, bytes: SharedSemaphore.bytes)
        permits = place.region.content.count
    }

    /// What another program needs to join; nil in a forked child, which has the semaphore without it.
    public var descriptor: Int32? { place.region.descriptor }

    /// Of each permit, the process that has it, or 0.
    private var holders: SharedWord { place.body }

    private func first(heldBy process: UInt64) -> Int? { (0..<permits).first { holders[$0].value == process } }

    /// How many permits are not held.  Those of a process that has ended count as held until another one waits for a permit.  Never waits.
    public var available: Int { (0..<permits).reduce(0) { $0 + (holders[$1].value == 0 ? 1 : 0) } }

    /// Takes a permit if one is available; returns whether it did.  Never waits.
    public func tryAcquire() -> Bool {
        place.locked {
            guard case .done = take() else { return false }
            return true
        }
    }

    /// Takes a permit, and waits until one is available.
    ///
    /// Throws when the caller is killed or an enclosing time limit is over; no permit was taken then.  Callable from any green thread, and from an OS thread
    /// without a hub, which it blocks.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func acquire() throws(WaitError) {
        // Only a deadline of its own makes it return false.
        _ = try acquire(until: .never)
    }

    /// Takes a permit, and waits until `deadline` for one.  Returns whether it has taken one.
    ///
    /// Throws when the caller is killed or an enclosing time limit is over; no permit was taken then.  The death of a holder is noticed after 10 ms to 1 s.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    public func acquire(until deadline: Deadline) throws(WaitError) -> Bool {
        do throws(WaitError) {
            try Context.running?.throwIfInterrupted()
            if tryAcquire() { return true }
            try place.wait(in: place.lines[0], until: deadline, settle: { settleDeaths() }) { take() }
            return true
        } catch {
            guard error == .deadlinePassed else { throw error }
            return false
        }
    }

    /// Under the gate.
    private func take() -> SharedPlace.Look<Void> {
        guard let permit = first(heldBy: 0) else { return .wait }
        holders[permit].value = ProcessIdentity.own.bits
        return .done(())
    }

    /// Gives a permit of this process back.  Stops the program where it has none.  Never waits.
    public func release() {
        let isDone = place.locked {
            guard let permit = first(heldBy: ProcessIdentity.own.bits) else { return false }
            place.lines[0].ringFirst()
            holders[permit].value = 0
            return true
        }
        require(isDone, "SharedSemaphore.release() in a process that holds no permit")
    }

    /// Frees the permits of processes that have ended.
    private func settleDeaths() {
        let processes = Set((0..<permits).map { holders[$0].value }).subtracting([0])
        let dead = processes.filter { !ProcessIdentity(bits: $0).isAlive }
        if dead.isEmpty { return }
        place.locked {
            for permit in 0..<permits where dead.contains(holders[permit].value) {
                place.lines[0].ringFirst()
                holders[permit].value = 0
            }
        }
    }
}

// The two differ only in what they throw, which the compiler tells apart.
// swift-format-ignore: AmbiguousTrailingClosureOverload
extension SharedSemaphore {
    /// Runs `body` with a permit, which it gives back however `body` ends.
    ///
    /// Throws `WaitError` as `acquire()` does; `body` does not run then.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func withPermit<Value>(_ body: () throws(WaitError) -> Value) throws(WaitError) -> Value {
        try acquire()
        defer { release() }
        return try body()
    }

    /// As the other `withPermit`, for a `body` that throws errors of its own.  They come out as they are.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func withPermit<Value>(_ body: () throws -> Value) throws -> Value {
        try acquire()
        defer { release() }
        return try body()
    }
}
