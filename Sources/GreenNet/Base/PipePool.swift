/// Empty pipes of a hub, through which bytes go from one descriptor to another in the kernel.
///
/// A transfer has a pipe only while bytes are in it, so that one that waits for its source holds none.
struct PipePool {
    struct Pipe {
        let reading: Int32
        let writing: Int32
        /// In bytes.
        let room: Int

        func close() { for end in [reading, writing] { SystemCalls.close(end) } }
    }

    /// How many are kept open: beyond that, many transfers with slow sinks have ended.
    static let limit = 16
    /// The kernel counts it for the user, who has 64 MiB of pipes by default (pipe-user-pages-soft).
    static let size = 256 << 10

    private(set) var idle: ContiguousArray<Pipe> = []

    /// The one that was given back last, or a new one.  Else -errno.
    mutating func take(_ result: inout Int) -> Pipe? {
        if let pipe = idle.popLast() { return pipe }
        var ends: (Int32, Int32) = (-1, -1)
        result = SystemCalls.bulkPipe(&ends, PipePool.size)
        return result < 0 ? nil : Pipe(reading: ends.0, writing: ends.1, room: result)
    }

    /// It must be empty: what is in it would be the next connection's.
    mutating func giveBack(_ pipe: Pipe) {
        if idle.count < PipePool.limit { idle.append(pipe) } else { pipe.close() }
    }

    mutating func closeAll() {
        for pipe in idle { pipe.close() }
        idle = []
    }
}
