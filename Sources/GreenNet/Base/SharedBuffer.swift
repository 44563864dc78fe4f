/// A buffer into which many sockets receive, one after the other, so that a connection that waits holds none.
///
/// While it is lent to one of them, the others use a new one.  To be kept in raw memory.
struct SharedBuffer {
    /// Nil until the first use, and while it is lent.
    private var current = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    /// In bytes.  Does not change once the buffer is in use.
    var size: Int
    /// How many bodies it, or one that was made meanwhile, is lent to.
    private var lendings = 0
    #if DEBUG
    /// How many bytes at its beginning were received last.
    private var filled = 0
    #endif

    /// Made at the first use.
    init(size: Int) { self.size = size }

    /// In memory of the caller's, which `free` is not called for.
    init(_ memory: UnsafeMutableRawBufferPointer) { (current, size) = (memory, memory.count) }

    var isInUse: Bool { current.baseAddress != nil || lendings > 0 }

    @inline(__always)
    mutating func bytes() -> UnsafeMutableRawBufferPointer {
        if current.baseAddress == nil { make() }
        return current
    }

    @inline(never)
    private mutating func make() { current = .allocate(byteCount: size, alignment: 64) }

    func contains(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let own = current.baseAddress, let start = bytes.baseAddress else { return false }
        return start >= own && start < own + current.count
    }

    func free() { current.deallocate() }

    // MARK: Lending

    /// Hands the buffer over, until `takeBack`.
    mutating func lend() -> UnsafeMutableRawBufferPointer {
        let lent = bytes()
        lendings += 1
        current = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        forgetReceived()
        return lent
    }

    /// One that was made meanwhile is freed: what was received into it counts only until the next call that waits or gives way,
    /// or until the body ends that it was received in.
    mutating func takeBack(_ lent: UnsafeMutableRawBufferPointer) {
        lendings -= 1
        current.deallocate()
        current = lent
        forgetReceived()
    }

    // MARK: Stale bytes

    /// In debug builds, overwrites what was received last, so that a view of it that is used too late is seen to be wrong at once.
    @inline(__always)
    mutating func spoil() {
        #if DEBUG
        if let start = current.baseAddress { start.initializeMemory(as: UInt8.self, repeating: 0xdd, count: filled) }
        #endif
        forgetReceived()
    }

    private mutating func forgetReceived() {
        #if DEBUG
        filled = 0
        #endif
    }

    @inline(__always)
    mutating func noteReceived(_ count: Int) {
        #if DEBUG
        filled = count
        #endif
    }
}
