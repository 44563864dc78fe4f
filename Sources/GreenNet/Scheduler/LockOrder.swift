import Synchronization

/// Finds locks that green threads acquire in opposite orders, also where no deadlock has come of it yet.
///
/// A deadlock takes an unlucky moment: `GreenLock.acquire` throws `WaitError.deadlock` where a cycle of waits closes.  The mistake that makes it possible, "B while A is
/// held" in one place and "A while B is held" in another, shows itself in any run of both places.  For tests:
///
///     Hub.current.lockOrder = LockOrder { violation in Issue.record("\(violation)") }
///
/// Counts each `acquire` and `withLock` without a deadline: what gives up cannot wait for ever.  `withLocks` acquires several locks in one order.  It remembers each pair
/// of locks of which one was acquired while the other was held, also after they are gone.  Belongs to one hub.
public final class LockOrder {
    /// Locks were acquired in two orders.
    public struct Violation: Error, Hashable, Sendable, CustomStringConvertible {
        /// The names of the locks, or their numbers: first the one that is being acquired, last the one that is held.  Each of the others was acquired while the one before it
        /// was held.
        public let locks: [String]
        /// The green thread that acquires the first while it holds the last.
        public let greenThread: String
        /// The green thread that has acquired the second while it held the first.
        public let earlier: String

        /// The locks in words, with the green threads that have acquired them.
        public var description: String {
            let chain = zip(locks, locks.dropFirst()).map { "\($1) was acquired with \($0) held" }
            let now = "\(greenThread) acquires \(locks[0]) with \(locks[locks.count - 1]) held"
            return "lock order: \(now); before, \(chain.joined(separator: ", ")), first by \(earlier)"
        }
    }

    /// Tells the numbers that other watchers have given from its own.
    private let serial = LockOrder.serials.add(1, ordering: .relaxed).newValue
    private static let serials = Atomic<Int>(0)
    private let report: (Violation) -> Void
    private var names: [String] = []
    /// By number of the lock that was held: those acquired meanwhile, each with the first green thread that did it.
    private var followers: [Int: [Int: String]] = [:]
    /// By id of the green thread, the locks that it has acquired and not released, the oldest first.
    private var held: [UInt64: [Int]] = [:]
    private var reported: Set<Pair> = []

    private struct Pair: Hashable {
        let (first, second): (Int, Int)
    }

    /// Calls `report` at the first acquisition against the order of each two locks, on the stack of the green thread that acquires; it must not wait.
    public init(report: @escaping (Violation) -> Void) { self.report = report }

    /// `thread` is about to acquire the lock, and may wait for ever.
    func wants(_ lock: UnsafeMutablePointer<LockState>, _ name: String?, _ thread: GreenThread) {
        let number = number(of: lock, name)
        for holder in held[thread.id] ?? [] where followers[holder]?[number] == nil {
            if let path = path(from: number, to: holder), reported.insert(Pair(first: number, second: holder)).inserted
            {
                report(
                    Violation(
                        locks: path.map { names[$0] }, greenThread: thread.title, earlier: followers[number]![path[1]]!)
                )
            }
            followers[holder, default: [:]][number] = thread.title
        }
    }

    /// `thread` has the lock from now on.
    func acquired(_ lock: UnsafeMutablePointer<LockState>, _ name: String?, _ thread: GreenThread) {
        held[thread.id, default: []].append(number(of: lock, name))
    }

    func released(_ lock: UnsafeMutablePointer<LockState>, _ thread: GreenThread) {
        // It may have been acquired before it was watched.
        guard let (watcher, number) = lock.pointee.orderNumber, watcher == serial,
            let index = held[thread.id]?.lastIndex(of: number)
        else { return }
        held[thread.id]!.remove(at: index)
        if held[thread.id]!.isEmpty { held[thread.id] = nil }
    }

    private func number(of lock: UnsafeMutablePointer<LockState>, _ name: String?) -> Int {
        if let (watcher, number) = lock.pointee.orderNumber, watcher == serial { return number }
        names.append(name ?? "lock \(names.count + 1)")
        lock.pointee.orderNumber = (serial, names.count - 1)
        return names.count - 1
    }

    /// The locks from `first` to `last`, each acquired while the one before it was held; nil where there is no such chain.
    private func path(from first: Int, to last: Int) -> [Int]? {
        var (cameFrom, next) = ([first: first], [first])
        while let lock = next.popLast() {
            if lock == last { break }
            for follower in followers[lock]?.keys.sorted() ?? [] where cameFrom[follower] == nil {
                cameFrom[follower] = lock
                next.append(follower)
            }
        }
        guard cameFrom[last] != nil else { return nil }
        var path = [last]
        while path[0] != first { path.insert(cameFrom[path[0]]!, at: 0) }
        return path
    }
}

@available(*, unavailable)
extension LockOrder: Sendable {}
