/// A value on its way between two processes of one program, as `ValueEncoder` makes it and `ValueDecoder` reads it.
///
/// In bytes it is a tag and what the tag says:
///
/// | Tag | | Follows |
/// | --- | --- | --- |
/// | 0, 1, 2 | nil, false, true | |
/// | 3 | signed integer | zigzag, 7 bits a byte from the lowest on, the high bit says that more follow |
/// | 4 | unsigned integer | 7 bits a byte |
/// | 5, 6 | `Float`, `Double` | 4 or 8 bytes, as the processor has them |
/// | 7 | text | its length in bytes, UTF-8 |
/// | 8 | packed array | its length in bytes, the elements as the processor has them |
/// | 9 | list | the number of its values, the values |
/// | 10 | keyed | the number of its values, each behind its key (a length, UTF-8) |
///
/// A `[UInt8]` by itself has no tag: it is the bytes.
enum CodedValue {
    case null
    case bool(Bool)
    case signed(Int64)
    case unsigned(UInt64)
    case float(Float)
    case double(Double)
    case text(String)
    case packed(ArraySlice<UInt8>)
    case list([CodedValue])
    case keyed([(key: String, value: CodedValue)])

    enum Tag: UInt8 {
        case null, no, yes, signed, unsigned, float, double, text, packed, list, keyed
    }

    /// How deep values may lie in each other: a decoder calls itself for each level, on a stack that is fixed.
    static let depthLimit = 64
}

/// A value that can't go to another process, or bytes that are no value.
public enum ValueError: Error, Hashable, Sendable, CustomStringConvertible {
    /// It takes more bytes than the pool's `frameLimit`.
    case tooLong(limit: Int)
    /// Its parts lie deeper in each other than this.
    case tooDeep(limit: Int)
    /// What came is not a value of the expected type, and why.
    case malformed(String)

    /// As in `the value takes more than 1024 bytes`.
    public var description: String {
        switch self {
        case .tooLong(let limit): "the value takes more than \(limit) bytes"
        case .tooDeep(let limit): "the parts of the value lie more than \(limit) deep in each other"
        case .malformed(let reason): "the bytes are not the expected value: \(reason)"
        }
    }
}

// MARK: - Arrays of numbers

/// An array whose elements go as they lie in memory: to encode a million numbers one by one takes tens of milliseconds.
protocol PackedArray {
    var packedBytes: [UInt8] { get }
    /// Nil where `bytes` are no whole number of elements.
    init?(packed bytes: ArraySlice<UInt8>)
}

/// A number of which each pattern of bits is one.
protocol PackedElement: BitwiseCopyable {}

extension Int: PackedElement {}
extension Int8: PackedElement {}
extension Int16: PackedElement {}
extension Int32: PackedElement {}
extension Int64: PackedElement {}
extension UInt: PackedElement {}
extension UInt8: PackedElement {}
extension UInt16: PackedElement {}
extension UInt32: PackedElement {}
extension UInt64: PackedElement {}
extension Float: PackedElement {}
extension Double: PackedElement {}

extension Array: PackedArray where Element: PackedElement {
    var packedBytes: [UInt8] { withUnsafeBytes { [UInt8]($0) } }

    init?(packed bytes: ArraySlice<UInt8>) {
        let size = MemoryLayout<Element>.size
        guard bytes.count % size == 0 else { return nil }
        self.init(unsafeUninitializedCapacity: bytes.count / size) { elements, count in
            bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(elements).copyMemory(from: $0) }
            count = bytes.count / size
        }
    }
}
