import GreenNet
import Synchronization

/// Texts by their names, which forked children share.  One OS thread of one process writes them; readers never wait.
///
/// As with `LiveValue`, new texts are written beside the old ones: a reader reads again where the version has changed meanwhile.
struct SharedWords: @unchecked Sendable {
    // Unchecked: what is behind the pointers is atomic, or bytes that a reader drops where they have changed meanwhile.
    private let bytes: UnsafeMutablePointer<UInt8>
    /// The version, and how many bytes each half has.
    private let header: UnsafeMutablePointer<Atomic<Int>>

    typealias Words = [(name: String, text: String)]

    /// For all texts together, with their names.  Pages that are not written take no memory.
    static let most = 4 << 20

    init() throws(StartFailure) {
        bytes = try SharedMemory.allocate(2 * SharedWords.most, of: UInt8.self)
        header = try SharedMemory.allocate(3, of: Atomic<Int>.self)
    }

    /// The current texts, and how often they were written.
    var value: (words: Words, version: Int) {
        while true {
            let before = header[0].load(ordering: .acquiring)
            let count = header[1 + before & 1].load(ordering: .relaxed)
            let copy = [UInt8](UnsafeBufferPointer(start: half(before), count: count))
            atomicMemoryFence(ordering: .acquiring)
            if header[0].load(ordering: .relaxed) == before { return (SharedWords.decode(copy), before) }
        }
    }

    /// Returns the version of `words`, which is one more than that before.  Throws where they are too long, and writes nothing then.
    func write(_ words: Words) throws(StartFailure) -> Int {
        let encoded = SharedWords.encode(words)
        guard encoded.count <= SharedWords.most else {
            throw StartFailure(
                .configuration, "the settings take \(encoded.count) bytes, where \(SharedWords.most) are the most")
        }
        let next = header[0].load(ordering: .relaxed) + 1
        encoded.withUnsafeBufferPointer { half(next).update(from: $0.baseAddress!, count: $0.count) }
        header[1 + next & 1].store(encoded.count, ordering: .relaxed)
        header[0].store(next, ordering: .releasing)
        return next
    }

    private func half(_ version: Int) -> UnsafeMutablePointer<UInt8> { bytes + (version & 1) * SharedWords.most }

    // MARK: - Bytes

    /// For each text its name, its length and itself, as in `allow 8\n::1,unix`: a text may have any bytes.
    private static func encode(_ words: Words) -> [UInt8] {
        Array(words.map { "\($0.name) \($0.text.utf8.count)\n\($0.text)" }.joined().utf8) + [0]
    }

    private static func decode(_ bytes: [UInt8]) -> Words {
        var (words, rest) = (Words(), bytes.dropLast())
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            let head = String(decoding: rest[..<end], as: UTF8.self).split(separator: " ")
            rest = rest[(end + 1)...]
            words.append((String(head[0]), String(decoding: rest.prefix(Int(head[1])!), as: UTF8.self)))
            rest = rest.dropFirst(Int(head[1])!)
        }
        return words
    }
}
