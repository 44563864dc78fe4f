import Synchronization

/// Whole numbers in shared memory, which processes add to at the same time without losing any.
///
/// Made before a fork, they are the same in the parent and the child; another program joins them by `descriptor`.  No call waits or makes a system call, and the
/// death of a process changes nothing: an `add` has happened or it has not.  See <doc:BetweenProcesses>.
public final class SharedCounters: @unchecked Sendable {
    // Unchecked: the counters are atomic.
    private let region: SharedRegion
    private let counters: UnsafeMutablePointer<Atomic<Int>>
    /// How many counters there are.
    public let count: Int

    /// How many counters there can be.
    public static let range = 1...(1 << 24)

    private static func bytes(_ content: SharedRegion.Content) -> Int { 8 * content.count }

    /// `count` counters, 1 to 16,777,216, each 0.  Throws where the kernel gives no memory.
    public convenience init(count: Int) throws(SharedMemoryError) {
        require(SharedCounters.range.contains(count), "\(count) shared counters; 1 to 16777216 are possible")
        let content = SharedRegion.Content(kind: .counters, count: count, element: 8)
        self.init(try SharedRegion(content, bytes: SharedCounters.bytes(content)))
    }

    /// The counters behind `descriptor`, which another process has made, and which stays the caller's to close.
    ///
    /// Throws where there are none behind it.
    public convenience init(joining descriptor: Int32) throws(SharedMemoryError) {
        self.init(try SharedRegion(joining: descriptor, .counters, bytes: SharedCounters.bytes))
    }

    private init(_ region: SharedRegion) {
        self.region = region
        count = region.content.count
        counters = (region.base + SharedRegion.bodyOffset).assumingMemoryBound(to: Atomic<Int>.self)
    }

    /// What another program needs to join; nil in a forked child, which has the counters without it.
    public var descriptor: Int32? { region.descriptor }

    private func counter(_ index: Int) -> UnsafeMutablePointer<Atomic<Int>> {
        require(index >= 0 && index < count, "counter \(index) of \(count)")
        return counters + index
    }

    /// The value of counter `index`, from 0.  An index that is not there stops the program.
    public subscript(index: Int) -> Int { counter(index).pointee.load(ordering: .acquiring) }

    /// Adds `amount` to counter `index`, and returns the new value.  At the end of its range, the number wraps around.
    @discardableResult
    public func add(_ amount: Int = 1, to index: Int) -> Int {
        counter(index).pointee.wrappingAdd(amount, ordering: .acquiringAndReleasing).newValue
    }

    /// Sets counter `index` to `value`, and returns what it was.
    @discardableResult
    public func set(_ index: Int, to value: Int) -> Int {
        counter(index).pointee.exchange(value, ordering: .acquiringAndReleasing)
    }

    /// The values of all counters, each read at its own moment.
    public var allValues: [Int] { (0..<count).map { self[$0] } }
}
