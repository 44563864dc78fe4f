/// A fixed number of elements in shared memory, without references, that processes read and change.
///
/// Made before a fork, it is the same in the parent and the child; another program joins it by `descriptor`.  All elements are zero bytes at first.  Each call
/// sees the elements as no other process changes them at that moment; none waits for more than another one's call.  See <doc:BetweenProcesses>.
public final class SharedArray<Element: BitwiseCopyable & Sendable>: @unchecked Sendable {
    // Unchecked: the elements are touched under the gate.
    private let region: SharedRegion
    private let gate: SharedGate
    private let elements: UnsafeMutablePointer<Element>
    /// How many elements there are.
    public let count: Int

    private static func bytes(_ content: SharedRegion.Content) -> Int { content.count * content.element }

    /// `count` elements of zero bytes, 1 or more and at most 64 GiB.  Throws where the kernel gives no memory.
    ///
    /// `Element` must be a type for which zero bytes are a value: numbers, and structs of numbers.
    public convenience init(count: Int) throws(SharedMemoryError) {
        let element = MemoryLayout<Element>.stride
        let most = (64 << 30) / element
        require(
            count >= 1 && count <= most,
            "a shared array of \(count) elements; 1 to \(most) of \(element) bytes are possible")
        let content = SharedRegion.Content(kind: .array, count: count, element: element)
        self.init(try SharedRegion(content, bytes: SharedArray.bytes(content)))
    }

    /// The array behind `descriptor`, which another process has made, and which stays the caller's to close.
    ///
    /// Throws where there is none behind it, or one with elements of another size.  The type itself is not checked.
    public convenience init(joining descriptor: Int32) throws(SharedMemoryError) {
        let region = try SharedRegion(joining: descriptor, .array, bytes: SharedArray.bytes)
        try region.expect(elements: MemoryLayout<Element>.stride)
        self.init(region)
    }

    private init(_ region: SharedRegion) {
        (self.region, gate, count) = (region, SharedGate(region), region.content.count)
        elements = (region.base + SharedRegion.bodyOffset).assumingMemoryBound(to: Element.self)
    }

    /// What another program needs to join; nil in a forked child, which has the array without it.
    public var descriptor: Int32? { region.descriptor }

    /// Element `index`, from 0.  An index that is not there stops the program.
    public subscript(index: Int) -> Element {
        get { withElements { $0[check(index)] } }
        set { withElements { $0[check(index)] = newValue } }
    }

    private func check(_ index: Int) -> Int {
        require(index >= 0 && index < count, "element \(index) of \(count)")
        return index
    }

    /// Runs `body` with all elements while no other process reads or changes them, and returns what `body` does.
    ///
    /// `body` is short, and must neither wait nor use the same array; others that do are blocked meanwhile, with their OS threads.  A process that is killed in it
    /// leaves the elements that it has changed by then: for what must change as a whole, use a `SharedValue`, or a `SharedLock`, which tells of the death.
    @discardableResult
    public func withElements<Result, Failure>(
        _ body: (UnsafeMutableBufferPointer<Element>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try gate.locked(repair: {}) { () throws(Failure) -> Result in
            try body(UnsafeMutableBufferPointer(start: elements, count: count))
        }
    }

    /// All elements, as they were at one moment.
    public var allElements: [Element] { withElements { Array($0) } }
}
