import Synchronization

/// A value in shared memory, without references, that processes read and change.
///
/// Made before a fork, it is the same in the parent and the child; another program joins it by `descriptor`.  `load` waits for none: a new value is written beside
/// the old one, and then becomes the current one.  A process that is killed while it changes the value leaves the old one.  See <doc:BetweenProcesses>.
public final class SharedValue<Value: BitwiseCopyable & Sendable>: Sendable {
    private let region: SharedRegion
    private let gate: SharedGate
    /// How many values there were.  An even number of them is in the first half of the words behind, an odd one in the second.
    private let version: SharedWord
    private let halves: SharedWord

    private static var wordCount: Int { max(1, (MemoryLayout<Value>.size + 7) / 8) }
    private static func bytes(_ content: SharedRegion.Content) -> Int { 64 + 16 * max(1, (content.element + 7) / 8) }

    /// Throws where the kernel gives no memory.
    public convenience init(_ value: Value) throws(SharedMemoryError) {
        let content = SharedRegion.Content(kind: .value, count: 1, element: MemoryLayout<Value>.size)
        self.init(try SharedRegion(content, bytes: SharedValue.bytes(content)))
        store(value)
    }

    /// The value behind `descriptor`, which another process has made, and which stays the caller's to close.
    ///
    /// Throws where there is none behind it, or one of another size.  The type itself is not checked.
    public convenience init(joining descriptor: Int32) throws(SharedMemoryError) {
        let region = try SharedRegion(joining: descriptor, .value, bytes: SharedValue.bytes)
        try region.expect(elements: MemoryLayout<Value>.size)
        self.init(region)
    }

    private init(_ region: SharedRegion) {
        (self.region, gate) = (region, SharedGate(region))
        version = SharedWord(region.base + SharedRegion.bodyOffset)
        halves = version[8]
    }

    /// What another program needs to join; nil in a forked child, which has the value without it.
    public var descriptor: Int32? { region.descriptor }

    /// The current value, one that was stored as a whole.  Never waits.
    public func load() -> Value {
        while true {
            let before = version.value
            let value = read(before)
            atomicMemoryFence(ordering: .acquiring)
            if version.value == before { return value }
        }
    }

    /// Makes `value` the current one.  Never waits for more than another `store` or `update`.
    public func store(_ value: Value) { update { $0 = value } }

    /// Runs `body` with the value while no other process changes it, and returns what `body` does.
    ///
    /// The change counts once `body` has returned: an error that it throws, or a kill of the process in it, leaves the value as it was.  `body` is short, and must
    /// neither wait nor change the same value; others that change the value are blocked meanwhile, with their OS threads.
    @discardableResult
    public func update<Result, Failure>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // What a process that was killed here has written is not the current value.
        try gate.locked(repair: {}) { () throws(Failure) -> Result in
            let current = version.value
            var value = read(current)
            let result = try body(&value)
            write(value, current + 1)
            version.value = current + 1
            return result
        }
    }

    private func half(_ version: UInt64) -> SharedWord { halves[Int(version & 1) * Self.wordCount] }

    private func read(_ version: UInt64) -> Value {
        let words = half(version)
        return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: Self.wordCount) { copy in
            for index in copy.indices { copy[index] = words[index].value }
            return UnsafeRawPointer(copy.baseAddress!).loadUnaligned(as: Value.self)
        }
    }

    private func write(_ value: Value, _ version: UInt64) {
        let words = half(version)
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: Self.wordCount) { copy in
            copy.initialize(repeating: 0)
            UnsafeMutableRawPointer(copy.baseAddress!).storeBytes(of: value, as: Value.self)
            for index in copy.indices { words[index].value = copy[index] }
        }
    }
}

extension SharedValue where Value: FixedWidthInteger {
    /// Adds `amount` while no other process changes the value, and returns the new value.  At the end of its range, the number wraps around.
    @discardableResult
    public func add(_ amount: Value) -> Value {
        update { value in
            value &+= amount
            return value
        }
    }
}
