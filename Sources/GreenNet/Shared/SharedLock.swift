import Glibc
import Synchronization

/// A lock that the green threads of several processes take in turns.
///
/// Made before a fork, it is the same lock in the parent and the child; another program joins it by `descriptor`.  A holder that is killed leaves it usable: the
/// next one gets it, and is told by `HolderEnd.died`.  A wait parks the green thread, and on an OS thread without a hub blocks that.  Taken and released with no
/// other waiting, it makes no system call.  One that is woken competes with those that come at that moment: it is not first come, first served.
/// See <doc:BetweenProcesses>.
public final class SharedLock: Sendable {
    private let place: SharedPlace
    /// In this process: the green thread that holds the lock, or the OS thread; 0 for none.
    private let localHolder = Atomic<UInt>(0)

    private static let content = SharedRegion.Content(kind: .lock, count: 1, element: 0)
    /// Set in the holder's word while others may wait: they are looked for at the release.
    private static let isContended: UInt64 = 1 << 63

    /// A lock that is free.  Throws where the kernel gives no memory.
    public init() throws(SharedMemoryError) {
        place = try SharedPlace(SharedLock.content, lines: 1, bytes: 16)
    }

    /// The lock behind `descriptor`, which another process has made, and which stays the caller's to close.
    ///
    /// Throws where there is no lock behind it.
    public init(joining descriptor: Int32) throws(SharedMemoryError) {
        place = try SharedPlace(joining: descriptor, .lock, lines: 1) { _ in 16 }
    }

    /// What another program needs to join: to be given to it, say as its standard input.  Nil in a forked child, which has the lock without it.
    public var descriptor: Int32? { place.region.descriptor }

    private var line: SharedLine { place.lines[0] }
    /// The identity of the holder, or 0, with `isContended`.
    private var holderWord: SharedWord { place.body }
    /// The identity of the last holder that died, until the next one is told.
    private var deathWord: SharedWord { place.body[1] }

    private static func process(_ word: UInt64) -> ProcessIdentity { ProcessIdentity(bits: word & ~isContended) }

    /// The number of the process that holds the lock; nil where it is free.  It may have ended.  Never waits.
    public var holder: Int32? {
        let process = SharedLock.process(holderWord.value)
        return process.bits == 0 ? nil : process.pid
    }

    // MARK: Taking

    private func acquire(until deadline: Deadline) throws(WaitError) -> HolderEnd {
        try Context.running?.throwIfInterrupted()
        let own = ProcessIdentity.own.bits
        if !holderWord.exchange(0, for: own) {
            refuseNested()
            let previous = try place.wait(in: line, until: deadline, settle: { settleDeath() }) { take(own) }
            localHolder.store(SharedLock.caller, ordering: .relaxed)
            return previous
        }
        localHolder.store(SharedLock.caller, ordering: .relaxed)
        return .released
    }

    /// Under the gate.
    private func take(_ own: UInt64) -> SharedPlace.Look<HolderEnd> {
        while true {
            let word = holderWord.value
            if SharedLock.process(word).bits == 0 {
                let dead = ProcessIdentity(bits: deathWord.value)
                // No other changes it now: either it is not 0, or it changes under the gate.
                guard holderWord.exchange(word, for: own | SharedLock.isContended) else { continue }
                deathWord.value = 0
                return .done(dead.bits == 0 ? .released : .died(dead.pid))
            }
            // From now on its release comes under the gate, and finds the one that waits.
            if holderWord.exchange(word, for: word | SharedLock.isContended) { return .wait }
        }
    }

    /// The green thread that runs, or the OS thread where it has no hub.
    private static var caller: UInt { Context.running.map { UInt(bitPattern: $0.record) } ?? UInt(pthread_self()) }

    private func refuseNested() {
        let isOwn = SharedLock.process(holderWord.value) == .own
        require(
            !isOwn || localHolder.load(ordering: .relaxed) != SharedLock.caller,
            "SharedLock.withLock inside withLock of the same lock would wait for itself")
    }

    private func release() {
        localHolder.store(0, ordering: .relaxed)
        let own = ProcessIdentity.own.bits
        if holderWord.exchange(own, for: 0) { return }
        place.locked {
            // A forked child that leaves the closure which its parent is in holds nothing.
            guard SharedLock.process(holderWord.value).bits == own else { return }
            line.ringOne()
            holderWord.value = line.isEmpty ? 0 : SharedLock.isContended
        }
    }

    /// Frees the lock where its holder has ended.
    private func settleDeath() {
        let word = holderWord.value
        let process = SharedLock.process(word)
        if process.bits == 0 || process.isAlive { return }
        place.locked {
            guard SharedLock.process(holderWord.value) == process else { return }
            deathWord.value = process.bits
            holderWord.value = SharedLock.isContended
        }
    }
}

// The two differ only in what they throw, which the compiler tells apart.
// swift-format-ignore: AmbiguousTrailingClosureOverload
extension SharedLock {
    /// Runs `body` with the lock, which it releases however `body` ends; waits for it until `deadline`.
    ///
    /// `body` is told how the last holder has ended; after `.died`, it checks what the lock guards.  It may wait.  Throws `WaitError.deadlinePassed` where
    /// another has the lock until `deadline`, and when the caller is killed or an enclosing time limit is over; `body` does not run then.  A holder's death is
    /// noticed after 10 ms to 1 s.  `withLock` of the same lock inside `body` stops the program.  Callable from any green thread, and from an OS thread without a
    /// hub, which it blocks.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func withLock<Value>(
        until deadline: Deadline = .never, _ body: (HolderEnd) throws(WaitError) -> Value
    ) throws(WaitError) -> Value {
        let previous = try acquire(until: deadline)
        defer { release() }
        return try body(previous)
    }

    /// As the other `withLock`, for a `body` that throws errors of its own.  They come out as they are.
    @available(*, noasync, message: "it parks a green thread; write `remote.run { }`, or on a hub `parking { }`")
    @discardableResult
    public func withLock<Value>(until deadline: Deadline = .never, _ body: (HolderEnd) throws -> Value) throws -> Value
    {
        let previous = try acquire(until: deadline)
        defer { release() }
        return try body(previous)
    }
}
