/// First in, first out, in an array that is used round and round.
struct Ring<Item> {
    private var slots: ContiguousArray<Item?> = []
    private var first = 0
    private(set) var count = 0

    mutating func append(_ item: Item) {
        if count == slots.count { grow() }
        slots[(first + count) & (slots.count - 1)] = item
        count += 1
    }

    var peek: Item? { count == 0 ? nil : slots[first] }

    mutating func popFirst() -> Item? {
        guard count > 0 else { return nil }
        // Nil in its place: what was taken must not be held.
        var item: Item?
        swap(&item, &slots[first])
        first = (first + 1) & (slots.count - 1)
        count -= 1
        return item
    }

    /// The number of slots stays a power of two.
    private mutating func grow() {
        var larger = ContiguousArray<Item?>(repeating: nil, count: max(4, slots.count * 2))
        for index in 0..<count { larger[index] = slots[(first + index) & (slots.count - 1)] }
        (slots, first) = (larger, 0)
    }
}

extension Ring: Sendable where Item: Sendable {}
