import Glibc

/// Bytes that were received and not read yet, one behind the other in raw memory: a green thread that receives into it parks meanwhile.
///
/// Its owner frees it.
struct ReadBuffer {
    private var memory: UnsafeMutableRawPointer?
    private var capacity = 0
    /// The bytes lie from here to `end`.
    private var start = 0
    private var end = 0

    private static let smallest = 256

    var count: Int {
        @inline(__always) get { end - start }
    }

    /// Valid until it changes.
    var bytes: UnsafeRawBufferPointer {
        @inline(__always) get {
            UnsafeRawBufferPointer(start: memory.map { UnsafeRawPointer($0 + start) }, count: end - start)
        }
    }

    /// The first `count` bytes are not needed any more.
    @inline(__always)
    mutating func drop(_ count: Int) {
        start += count
        // What comes next begins at the front, so that nothing has to be moved for it.
        if start == end { (start, end) = (0, 0) }
    }

    mutating func append(_ bytes: UnsafeMutableRawBufferPointer) {
        room(atLeast: bytes.count).copyMemory(from: UnsafeRawBufferPointer(bytes))
        end += bytes.count
    }

    /// Memory behind the bytes, for `count` bytes or more.  Valid until the buffer changes; `noteReceived` follows.
    mutating func room(atLeast count: Int) -> UnsafeMutableRawBufferPointer {
        if capacity - end < count { makeRoom(count) }
        return UnsafeMutableRawBufferPointer(start: memory! + end, count: capacity - end)
    }

    mutating func noteReceived(_ count: Int) { end += count }

    /// Moves the bytes to the front, where they take half of the memory or less, and else to memory of twice the size: each byte is moved once on
    /// average.
    private mutating func makeRoom(_ needed: Int) {
        let count = count
        if count + needed <= capacity, count <= capacity / 2, let memory {
            memmove(memory, memory + start, count)
        } else {
            let size = max(ReadBuffer.smallest, count + needed, min(2 * capacity, 2 * (count + needed)))
            let larger = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
            if let memory {
                larger.copyMemory(from: memory + start, byteCount: count)
                memory.deallocate()
            }
            (memory, capacity) = (larger, size)
        }
        (start, end) = (0, count)
    }

    /// Gives back the memory of an empty buffer.
    mutating func release() {
        memory?.deallocate()
        self = ReadBuffer()
    }
}
