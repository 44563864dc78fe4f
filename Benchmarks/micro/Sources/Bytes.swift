import Glibc

// Two blocks that stay in the processor's cache; there is one OS thread to use them.
private let size = 64 << 10
nonisolated(unsafe) private let block = makeBlock()
nonisolated(unsafe) private let copy = makeBlock()

private func makeBlock() -> UnsafeMutableRawBufferPointer {
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
    for index in block.indices { block[index] = UInt8(truncatingIfNeeded: index &* 7) }
    return block
}

/// The server's own transform, compiled from its source.
func uppercaseBlock(_ count: Int) {
    for _ in 0..<count { uppercase(block) }
}

func copyBlock(_ count: Int) {
    for _ in 0..<count { memcpy(copy.baseAddress!, block.baseAddress!, size) }
}
