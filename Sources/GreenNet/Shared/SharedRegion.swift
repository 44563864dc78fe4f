internal import CLinux
import Glibc

/// Memory behind a descriptor, mapped here, in the forked children of this process, and in each program that joins it by the descriptor.
///
/// Its first bytes say what it is.  It goes away with the last process that has it, however that ends.
final class SharedRegion: @unchecked Sendable {
    // Unchecked: constant.  What is in the memory is guarded by what lies there.
    let base: UnsafeMutableRawPointer
    let content: Content
    private let size: Int
    private let file: Int32
    /// The process whose table of descriptors has `file`.
    private let owner: ProcessIdentity

    /// What is in the memory.
    struct Content: Equatable {
        enum Kind: UInt64 {
            case value = 1
            case array, counters, lock, semaphore, event, frames, values

            var name: String {
                switch self {
                case .value: "a SharedValue"
                case .array: "a SharedArray"
                case .counters: "SharedCounters"
                case .lock: "a SharedLock"
                case .semaphore: "a SharedSemaphore"
                case .event: "a SharedEvent"
                case .frames: "a SharedQueue of frames"
                case .values: "a SharedQueue of values"
                }
            }
        }

        let kind: Kind
        /// How many elements, permits or counters.
        let count: Int
        /// The bytes of an element.
        let element: Int
    }

    /// The words at the beginning.
    private enum Head {
        static let (magic, version, kind, count, element, size, namespace) = (0, 1, 2, 3, 4, 5, 6)
    }

    /// Where the gate begins, and where what follows it begins.
    static let gateOffset = 64
    static let bodyOffset = 128
    static let mostBytes = 1 << 40

    private static let magic: UInt64 = 0x4472_6853_6e72_4721
    static let version = 2

    // MARK: Making and joining

    /// New memory, all zero behind the head, of `bytes` behind `bodyOffset`.
    init(_ content: Content, bytes: Int) throws(SharedMemoryError) {
        size = SharedRegion.bodyOffset + bytes
        require(
            size <= SharedRegion.mostBytes, "\(content.kind.name) of \(size) bytes; at most \(SharedRegion.mostBytes)")
        file = green_shared_memory_make(UInt64(size))
        if file < 0 { throw .system(call: "memfd_create", bytes: size, SystemError(-file)) }
        (self.content, owner) = (content, .own)
        do throws(SharedMemoryError) {
            base = try SharedRegion.map(file, size)
        } catch {
            close(file)
            throw error
        }
        let head = SharedWord(base)
        head[Head.version].value = UInt64(SharedRegion.version)
        head[Head.kind].value = content.kind.rawValue
        head[Head.count].value = UInt64(content.count)
        head[Head.element].value = UInt64(content.element)
        head[Head.size].value = UInt64(size)
        head[Head.namespace].value = green_pid_namespace()
        head[Head.magic].value = SharedRegion.magic
    }

    /// The memory behind `descriptor`, which stays the caller's.  `bytes` says how many belong behind `bodyOffset` for such a content.
    init(
        joining descriptor: Int32, _ kind: Content.Kind, bytes: (Content) -> Int
    ) throws(SharedMemoryError) {
        let found = green_shared_memory_size(descriptor)
        guard found >= Int64(SharedRegion.bodyOffset) else { throw .notShared(descriptor: descriptor) }
        let file = SystemCalls.duplicate(descriptor)
        if file < 0 { throw .system(call: "fcntl", bytes: Int(found), SystemError(Int32(-file))) }
        (self.file, size, owner) = (Int32(file), Int(found), .own)
        var mapped: UnsafeMutableRawPointer?
        do throws(SharedMemoryError) {
            let memory = try SharedRegion.map(Int32(file), Int(found))
            mapped = memory
            content = try SharedRegion.check(SharedWord(memory), descriptor, Int(found), kind, bytes)
            base = memory
        } catch {
            if let mapped { munmap(mapped, Int(found)) }
            close(Int32(file))
            throw error
        }
    }

    private static func check(
        _ head: SharedWord, _ descriptor: Int32, _ size: Int, _ kind: Content.Kind, _ bytes: (Content) -> Int
    ) throws(SharedMemoryError) -> Content {
        guard head[Head.magic].value == magic else { throw .notShared(descriptor: descriptor) }
        let version = Int(truncatingIfNeeded: head[Head.version].value)
        if version != SharedRegion.version { throw .version(found: version, expected: SharedRegion.version) }
        guard let foundKind = Content.Kind(rawValue: head[Head.kind].value) else {
            throw .notShared(descriptor: descriptor)
        }
        if foundKind != kind { throw .content(found: foundKind.name, expected: kind.name) }
        if head[Head.namespace].value != green_pid_namespace() { throw .processNamespace }
        let (count, element) = (head[Head.count].value, head[Head.element].value)
        let isPossible = count <= mostBytes && element <= mostBytes
        // An element takes up to 16 bytes more.
        guard isPossible, case let product = count.multipliedFullWidth(by: element + 16), product.high == 0,
            product.low < 1 << 62
        else {
            throw .notShared(descriptor: descriptor)
        }
        let content = Content(kind: kind, count: Int(count), element: Int(element))
        guard head[Head.size].value == size, bodyOffset + bytes(content) == size else {
            throw .notShared(descriptor: descriptor)
        }
        return content
    }

    private static func map(_ file: Int32, _ size: Int) throws(SharedMemoryError) -> UnsafeMutableRawPointer {
        let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0)
        guard let memory, memory != MAP_FAILED else {
            throw .system(call: "mmap", bytes: size, SystemError(errno))
        }
        return memory
    }

    deinit {
        munmap(base, size)
        // A forked child may have another file under this number.
        if owner == .own { close(file) }
    }

    /// To be given to a program that shall join; nil in a forked child, which has the memory and not the descriptor.
    var descriptor: Int32? { owner == .own ? file : nil }
}

extension SharedRegion {
    /// Throws where the elements have another size than `bytes`.
    func expect(elements bytes: Int) throws(SharedMemoryError) {
        if content.element == bytes { return }
        throw .content(
            found: "\(content.kind.name) with \(content.element) bytes each", expected: "one with \(bytes)")
    }
}
