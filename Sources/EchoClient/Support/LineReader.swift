import Glibc
import GreenNet

/// Cuts what comes out of a descriptor, which it owns, into lines.
final class LineReader {
    private let descriptor: Int32
    private var bytes: [UInt8] = []
    private var start = 0
    private var isClosed = false

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    /// The next line without its end, or at the end of all a last one that has none; then nil.
    func next(until deadline: Deadline = .never) throws -> String? {
        var searched = start
        while true {
            if let end = bytes[searched...].firstIndex(of: UInt8(ascii: "\n")) { return cut(to: end) }
            searched = bytes.count
            let hasMore = try fill(until: deadline)
            if !hasMore { return start < bytes.count ? cut(to: bytes.count) : nil }
        }
    }

    func close() {
        if !isClosed { _ = Glibc.close(descriptor) }
        isClosed = true
    }

    private func cut(to end: Int) -> String {
        let line = String(decoding: bytes[start..<end], as: UTF8.self)
        start = min(end + 1, bytes.count)
        // Not for each line: what is left would be moved each time.
        if start == bytes.count { (bytes, start) = ([], 0) }
        return line
    }

    private func fill(until deadline: Deadline) throws -> Bool {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
        defer { buffer.deallocate() }
        let count = try BorrowedDescriptor(descriptor).read(into: buffer, until: deadline)
        bytes += buffer[..<count]
        return count > 0
    }
}
