/// How a green thread has ended.
public struct GreenletEnd: Sendable {
    /// The `id` of the green thread, unique within its hub.
    public let id: UInt64
    /// The name that was given to `spawn`.
    public let name: String?
    /// `finished`, `failed` or `killed`.
    public let state: AnyGreenlet.State
    /// What its body threw, what it was killed with, or why it had no stack; nil where its body returned.
    public let error: (any Error)?

    fileprivate init(of greenlet: AnyGreenlet) {
        (id, name, state, error) = (greenlet.id, greenlet.name, greenlet.state, greenlet.failure)
    }
}

/// The ends of green threads, in the order in which they end: `for try await end in ends`.  `Hub.ends(of:)` makes it.
///
/// The loop may run on any OS thread, and ends after the last one.  It throws `CancellationError` where its task is cancelled.  Of several loops over the same
/// ends, each end goes to one of them.
public struct GreenletEnds: AsyncSequence, Sendable {
    /// An element is the end of one green thread.
    public typealias Element = GreenletEnd
    /// What a loop throws where its task is cancelled.
    public typealias Failure = CancellationError
    /// Takes the ends, for one task.
    public typealias AsyncIterator = RemoteChannel<GreenletEnd>.AsyncIterator

    private let channel = RemoteChannel<GreenletEnd>()

    /// On the OS thread of the hub.
    fileprivate init(of greenlets: [AnyGreenlet]) {
        var known: Set<ObjectIdentifier> = []
        let greenlets = greenlets.filter { known.insert(ObjectIdentifier($0)).inserted }
        var left = greenlets.count
        let channel = channel
        func tell(_ greenlet: AnyGreenlet) {
            // It has no limit, and is closed after the last one.
            _ = try? channel.tryPut(GreenletEnd(of: greenlet))
            left -= 1
            if left == 0 { channel.close() }
        }
        if greenlets.isEmpty { channel.close() }
        for greenlet in greenlets {
            greenlet.isObserved = true
            if greenlet.hasEnded { tell(greenlet) } else { _ = greenlet.observe { tell(greenlet) } }
        }
    }

    /// An iterator.
    public func makeAsyncIterator() -> AsyncIterator { channel.makeAsyncIterator() }
}

extension Hub {
    /// The ends of `greenlets`, for async code on any OS thread.  A green thread that has ended already comes first; one that is listed twice counts once.
    ///
    /// The errors of the green threads count as observed, and are not reported.  Never waits.  To be called on the hub's OS thread; where the hub closes, its
    /// green threads end, and so does the sequence.
    public func ends(of greenlets: [AnyGreenlet]) -> GreenletEnds { GreenletEnds(of: greenlets) }
}
