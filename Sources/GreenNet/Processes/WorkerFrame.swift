/// What passes between a pool and its worker: five bytes, the length of the rest (4 bytes, as the processor has them) and its kind; and the rest.
struct WorkerFrame {
    enum Kind: UInt8 {
        /// To the worker: a request.
        case request
        /// From the worker: the answer to the request.
        case answer
        /// From the worker: in words, why there is no answer, or why it does not begin.
        case failure
        /// From the worker: it is the one that the pool has started, and begins to prepare itself.
        case hello
        /// From the worker: it takes requests.
        case ready
    }

    static let headerSize = 5
    /// Of a failure, in bytes, whatever the pool's limit is.
    static let longestText = 64 << 10

    let kind: Kind
    let payload: ArraySlice<UInt8>

    /// The bytes of a frame.
    static func bytes(_ kind: Kind, _ payload: [UInt8] = []) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: headerSize + payload.count) { buffer, count in
            let raw = UnsafeMutableRawBufferPointer(buffer)
            raw.storeBytes(of: UInt32(payload.count), as: UInt32.self)
            raw[4] = kind.rawValue
            payload.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: raw[headerSize...]).copyMemory(from: $0) }
            count = headerSize + payload.count
        }
    }
}

/// Takes frames out of bytes as they come.
struct WorkerFrames {
    /// Payloads may be as long as this.
    let limit: Int
    private var bytes: [UInt8] = []

    init(limit: Int) { self.limit = limit }

    /// Bytes that are no frame: the other side is broken.
    struct Malformed: Error {}

    mutating func append(_ more: UnsafeRawBufferPointer) { bytes += more }

    /// The next frame; nil where a part of it has not come.
    mutating func next() throws(Malformed) -> WorkerFrame? {
        guard bytes.count >= WorkerFrame.headerSize else { return nil }
        let length = Int(bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) })
        guard let kind = WorkerFrame.Kind(rawValue: bytes[4]) else { throw Malformed() }
        if length > (kind == .failure ? WorkerFrame.longestText : limit) { throw Malformed() }
        let end = WorkerFrame.headerSize + length
        guard bytes.count >= end else { return nil }
        let all = bytes
        bytes = all.count == end ? [] : Array(all[end...])
        return WorkerFrame(kind: kind, payload: all[WorkerFrame.headerSize..<end])
    }
}
