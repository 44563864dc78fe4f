/// Who has a lock, and who waits for it.
struct LockState {
    /// Valid while `depth` is not 0.  Its record may have become another's, where it has ended with the lock: `ownerID` tells.
    var owner: GreenThread?
    var ownerID: UInt64 = 0
    /// How many times the owner has taken it.
    var depth = 0
    var waiting = WaitQueue()
}

/// A ring of green threads, each of which waits for a lock that the next one has.
public struct LockCycle: Error, Hashable, Sendable, CustomStringConvertible {
    /// Their names, beginning with the one that would have closed the ring.
    public let greenThreads: [String]

    /// Names who waits for whom.
    public var description: String {
        let links = greenThreads.dropFirst().map { "waits for a lock of \($0)" }
        return
            "deadlock: \(greenThreads[0]) \(links.joined(separator: ", which ")), which waits for a lock of the first"
    }
}

extension UnsafeMutablePointer<LockState> {
    var waiting: UnsafeMutablePointer<WaitQueue> { withUnsafeMutablePointer(to: &pointee.waiting) { $0 } }

    func isOwned(by thread: GreenThread) -> Bool {
        pointee.depth > 0 && pointee.owner == thread && pointee.ownerID == thread.pointee.id
    }

    func handOver(to thread: GreenThread) {
        pointee.owner = thread
        pointee.ownerID = thread.pointee.id
    }

    /// Nil where it has ended and took the lock along.
    private var livingOwner: GreenThread? {
        guard pointee.depth > 0, let owner = pointee.owner, owner.pointee.id == pointee.ownerID else { return nil }
        return owner.state == .ended ? nil : owner
    }

    var ownerTitle: String { livingOwner?.title ?? "green thread \(pointee.ownerID), which has ended," }

    /// Whether all would wait for ever if `thread` waited for this lock: one of the waits with a deadline would end it.
    func cycle(closedBy thread: GreenThread, until deadline: Deadline) -> LockCycle? {
        guard deadline == .never, thread.pointee.scope_deadline == Int64.max else { return nil }
        var ring = [thread]
        var lock = self
        // Others may be in a ring of their own, which one outside it could walk round for ever.
        while let owner = lock.livingOwner, ring.count <= thread.hub.pointee.alive + 1 {
            if owner == thread { return LockCycle(greenThreads: ring.map(\.title)) }
            guard let next = owner.lockWaitedFor else { return nil }
            ring.append(owner)
            lock = next
        }
        return nil
    }
}

extension GreenThread {
    /// The lock it waits for with no deadline.
    fileprivate var lockWaitedFor: UnsafeMutablePointer<LockState>? {
        guard state == .parked, waitKind == .lock, pointee.deadline == Int64.max else { return nil }
        return UnsafeMutablePointer<LockState>(bitPattern: UInt(pointee.wait_detail))
    }

    /// While it waits for a lock.
    var lockOwner: String { UnsafeMutablePointer<LockState>(bitPattern: UInt(pointee.wait_detail))!.ownerTitle }
}
