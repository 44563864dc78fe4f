/// Pieces of memory of one size that were in use and are kept for the next time: those that begin with a cache line take the C library several times as
/// long as others.  To be kept in raw memory.
struct SpareMemory {
    /// The next piece lies at its beginning.
    private var first: UnsafeMutableRawPointer?
    private var count = 0
    /// How many pieces are kept at most.
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Under AddressSanitizer it keeps none: a use of memory that was given up would not be seen.
    static func unlessWatched() -> SpareMemory { SpareMemory(limit: Sanitizer.active == .address ? 0 : 64) }

    /// The piece that was kept last; nil where there is none.
    @inline(__always)
    mutating func take() -> UnsafeMutableRawPointer? {
        guard let piece = first else { return nil }
        first = piece.load(as: UnsafeMutableRawPointer?.self)
        count &-= 1
        return piece
    }

    /// Keeps `piece`, of which nothing is needed any more.  Returns false where there are enough: it is to be deallocated.
    @inline(__always)
    mutating func keep(_ piece: UnsafeMutableRawPointer) -> Bool {
        guard count < limit else { return false }
        piece.storeBytes(of: first, as: UnsafeMutableRawPointer?.self)
        first = piece
        count &+= 1
        return true
    }

    mutating func free() { while let piece = take() { piece.deallocate() } }
}
