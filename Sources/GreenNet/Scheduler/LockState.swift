/// A lock: its owner, and the green threads that wait for it.
struct LockState {
    /// Valid while `depth` is not 0.  Where the owner ended with the lock, its record may be another green thread's by now: compare `ownerID`.
    var owner: GreenThread?
    var ownerID: UInt64 = 0
    /// How many times the owner has taken it.
    var depth = 0
    var waiting = WaitQueue.Ends()
    /// By which the `LockOrder` with that serial number knows it.
    var orderNumber: (order: Int, number: Int)?
}

/// A ring of green threads, each of which waits for a lock that the next one has.
public struct LockCycle: Error, Hashable, Sendable, CustomStringConvertible {
    /// Their names, beginning with the one that would have closed the ring.
    public let greenThreads: [String]

    /// Names the green threads, each with the one that it waits for.
    public var description: String {
        if greenThreads.count == 1 { return "deadlock: \(greenThreads[0]) waits for a lock that it holds itself" }
        let links = greenThreads.dropFirst().map { "waits for a lock of \($0)" }
        return
            "deadlock: \(greenThreads[0]) \(links.joined(separator: ", which ")), which waits for a lock of the first"
    }
}

extension UnsafeMutablePointer<LockState> {
    var waiting: WaitQueue { withUnsafeMutablePointer(to: &pointee.waiting) { WaitQueue($0) } }

    func isOwned(by thread: GreenThread) -> Bool {
        pointee.depth > 0 && pointee.owner == thread && pointee.ownerID == thread.id
    }

    func handOver(to thread: GreenThread) {
        pointee.owner = thread
        pointee.ownerID = thread.id
    }

    /// Nil where the owner has ended without giving the lock back.
    private var livingOwner: GreenThread? {
        guard pointee.depth > 0, let owner = pointee.owner, owner.id == pointee.ownerID else { return nil }
        return owner.state == .ended ? nil : owner
    }

    var ownerTitle: String { livingOwner?.title ?? "green thread \(pointee.ownerID), which has ended," }

    /// The ring that would wait for ever if `thread` waited for this lock; nil where one of its waits has a deadline, which would end it.
    func cycle(closedBy thread: GreenThread, until deadline: Deadline) -> LockCycle? {
        guard deadline == .never, thread.scopeDeadline == .never else { return nil }
        var ring = [thread]
        var lock = self
        // Bounded: a ring that `thread` is no part of has no end.
        while let owner = lock.livingOwner, ring.count <= thread.scheduler.alive + 1 {
            if owner == thread { return LockCycle(greenThreads: ring.map(\.title)) }
            guard let next = lockWaitedFor(by: owner) else { return nil }
            ring.append(owner)
            lock = next
        }
        return nil
    }
}

/// The lock that `thread` waits for with no deadline.
private func lockWaitedFor(by thread: GreenThread) -> UnsafeMutablePointer<LockState>? {
    guard thread.state == .parked, thread.waitKind == .lock, thread.deadline == .never else { return nil }
    return thread.waitAddress(of: LockState.self)
}
