/// A first-in, first-out ring buffer.
///
/// Raw, with no optionals in it: code that is compiled once for all types of item would look up the type of each optional as it runs.
@usableFromInline
package struct Ring<Item: ~Copyable>: ~Copyable {
    @usableFromInline
    var slots: UnsafeMutablePointer<Item>?
    /// How many items fit; a power of two, or 0 before the first item.
    @usableFromInline
    var room = 0
    @usableFromInline
    var first = 0
    @usableFromInline
    var count = 0

    package init() {}

    @inlinable
    package var isEmpty: Bool { count == 0 }

    deinit {
        for index in 0..<count { slot(index).deinitialize(count: 1) }
        slots?.deallocate()
    }

    @inlinable
    @inline(__always)
    package mutating func append(_ item: consuming Item) {
        if count == room { grow() }
        slot(count).initialize(to: item)
        count += 1
    }

    /// Takes the oldest item out of a ring that is not empty.
    @inlinable
    @inline(__always)
    package mutating func removeFirst() -> Item {
        require(count > 0, "a ring without an item")
        let oldest = slot(0)
        first = (first + 1) & (room - 1)
        count -= 1
        return oldest.move()
    }

    package mutating func popFirst() -> Item? {
        if isEmpty { return nil }
        return removeFirst()
    }

    /// The memory of the item that is `index` places after the oldest.
    @inlinable
    @inline(__always)
    func slot(_ index: Int) -> UnsafeMutablePointer<Item> { slots! + (first + index) & (room - 1) }

    @usableFromInline
    mutating func grow() {
        let larger = UnsafeMutablePointer<Item>.allocate(capacity: max(4, room * 2))
        for index in 0..<count { (larger + index).moveInitialize(from: slot(index), count: 1) }
        slots?.deallocate()
        (slots, room, first) = (larger, max(4, room * 2), 0)
    }
}

extension Ring {
    /// The oldest item, which stays; only of a ring that is not empty.
    var oldest: Item {
        require(count > 0, "a ring without an item")
        return slot(0).pointee
    }
}

// Unchecked: it owns its memory, and has one owner itself.
extension Ring: @unchecked Sendable where Item: Sendable & ~Copyable {}
