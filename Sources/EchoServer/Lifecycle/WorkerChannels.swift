import GreenNet

/// A pair of sockets to each worker process with hubs, over which the first process tells it of changes of the listeners.
///
/// Belongs to the first process.  Where there is no descriptor left for a pair, the worker has none, and is replaced where it would have to be told.
final class WorkerChannels {
    private var own: [Connection?]
    /// Until the worker has been forked, which keeps the number.
    private var workers: [Connection?]

    init(_ count: Int) {
        own = Array(repeating: nil, count: count)
        workers = own
    }

    /// For the next worker of `slot`.
    func open(_ slot: Int) {
        own[slot]?.close()
        let pair = try? Connection.pair()
        (own[slot], workers[slot]) = (pair?.0, pair?.1)
    }

    /// The number that the worker's end has, in it and in this process.
    func number(ofWorker slot: Int) -> Int32? { try? workers[slot]?.withDescriptor { $0 } }

    /// The worker has its end, or could not be forked.
    func started(_ slot: Int) {
        workers[slot]?.close()
        workers[slot] = nil
    }

    /// Returns whether the worker gets to know of `change`, of which `sets` are its own.
    func tell(_ slot: Int, _ change: ListenerChange, _ sets: Range<Int>) -> Bool {
        guard let channel = own[slot] else { return false }
        do throws(NetError) {
            for place in change.added {
                try PlaceMessage.add(id: place.id, Array(place.sets(sets).sockets.joined())).send(over: channel)
            }
            for place in change.removed { try PlaceMessage.remove(id: place.id).send(over: channel) }
            return true
        } catch {
            return false
        }
    }
}
