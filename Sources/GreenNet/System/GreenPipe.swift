import Glibc

/// A pipe's two ends, each closed on exec.  The owner closes them: `close()` what is still open.
package struct GreenPipe: ~Copyable {
    /// -1 once it is closed.
    package private(set) var reading: Int32
    /// -1 once it is closed.
    package private(set) var writing: Int32

    package init() throws(SystemError) {
        let ends = try SystemCalls.pipe()
        (reading, writing) = (ends.reading, ends.writing)
    }

    deinit { for end in [reading, writing] where end >= 0 { SystemCalls.close(end) } }

    package mutating func closeReading() { GreenPipe.close(&reading) }
    package mutating func closeWriting() { GreenPipe.close(&writing) }

    /// The number is the caller's to close now.
    package mutating func takeReading() -> Int32 { GreenPipe.take(&reading) }
    package mutating func takeWriting() -> Int32 { GreenPipe.take(&writing) }

    private static func close(_ end: inout Int32) { if end >= 0 { SystemCalls.close(take(&end)) } }

    private static func take(_ end: inout Int32) -> Int32 {
        defer { end = -1 }
        return end
    }
}
