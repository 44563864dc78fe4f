/// A green thread or a task that waits at a channel, with the item that it puts, or for an item; for an event or a lock, the item is `Void`.
// All of it is guarded by the mutex of the channel, event or lock.
final class RemoteTicket<Item: Sendable>: RemoteWaiter, @unchecked Sendable {
    enum Stage {
        case waiting, served
        /// The channel was closed.
        case refused
    }

    private(set) var item: Item?
    private(set) var stage = Stage.waiting

    init(_ item: Item?, of kind: Kind) {
        self.item = item
        super.init(kind)
    }

    func serve(with item: Item) { (self.item, stage) = (item, .served) }

    func serve() -> Item {
        defer { item = nil }
        stage = .served
        return item!
    }

    func refuse() { stage = .refused }
}
