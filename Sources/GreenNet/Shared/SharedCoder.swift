/// How the elements of a `SharedQueue` lie in its memory.
struct SharedCoder<Element>: Sendable {
    /// How many bytes `element` takes.
    let size: @Sendable (_ element: Element) -> Int
    /// Writes as many bytes.
    let write: @Sendable (_ element: Element, _ slot: UnsafeMutableRawPointer) -> Void
    /// Reads what was written, of `count` bytes.
    let read: @Sendable (_ slot: UnsafeRawPointer, _ count: Int) -> Element
}

extension SharedCoder where Element: BitwiseCopyable {
    static var plain: SharedCoder {
        SharedCoder(
            size: { _ in MemoryLayout<Element>.size },
            write: { element, slot in slot.storeBytes(of: element, as: Element.self) },
            read: { slot, _ in slot.loadUnaligned(as: Element.self) })
    }
}

extension SharedCoder<[UInt8]> {
    static var frames: SharedCoder {
        SharedCoder(
            size: { $0.count },
            write: { frame, slot in
                frame.withUnsafeBytes {
                    if let start = $0.baseAddress { slot.copyMemory(from: start, byteCount: $0.count) }
                }
            },
            read: { slot, count in Array(UnsafeRawBufferPointer(start: slot, count: count)) })
    }
}
