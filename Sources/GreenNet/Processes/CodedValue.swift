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
/// | 8 | packed array | a byte for the type of its elements (`PackedType`), its length in bytes, the elements as the processor has them |
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
    case packed(PackedType, ArraySlice<UInt8>)
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
    static var packedType: PackedType { get }
    var packedBytes: [UInt8] { get }
    /// Nil where `bytes` are no whole number of elements.
    init?(packed bytes: ArraySlice<UInt8>)
}

/// The type of the elements of a packed array.  The numbers go to other processes.
enum PackedType: UInt8 {
    case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float, double

    /// An element as it is encoded by itself.
    func element(_ index: Int, of bytes: ArraySlice<UInt8>) -> CodedValue {
        bytes.withUnsafeBytes { bytes in
            func load<Number: BitwiseCopyable>(_ type: Number.Type) -> Number {
                bytes.loadUnaligned(fromByteOffset: index * MemoryLayout<Number>.size, as: type)
            }
            return switch self {
            case .int: .signed(Int64(load(Int.self)))
            case .int8: .signed(Int64(load(Int8.self)))
            case .int16: .signed(Int64(load(Int16.self)))
            case .int32: .signed(Int64(load(Int32.self)))
            case .int64: .signed(load(Int64.self))
            case .uint: .unsigned(UInt64(load(UInt.self)))
            case .uint8: .unsigned(UInt64(load(UInt8.self)))
            case .uint16: .unsigned(UInt64(load(UInt16.self)))
            case .uint32: .unsigned(UInt64(load(UInt32.self)))
            case .uint64: .unsigned(load(UInt64.self))
            case .float: .float(load(Float.self))
            case .double: .double(load(Double.self))
            }
        }
    }

    /// In bytes.
    var size: Int {
        switch self {
        case .int8, .uint8: 1
        case .int16, .uint16: 2
        case .int32, .uint32, .float: 4
        case .int, .int64, .uint, .uint64, .double: 8
        }
    }
}

/// A number of which each pattern of bits is one.
protocol PackedElement: BitwiseCopyable {
    static var packedType: PackedType { get }
}

extension Int: PackedElement { static var packedType: PackedType { .int } }
extension Int8: PackedElement { static var packedType: PackedType { .int8 } }
extension Int16: PackedElement { static var packedType: PackedType { .int16 } }
extension Int32: PackedElement { static var packedType: PackedType { .int32 } }
extension Int64: PackedElement { static var packedType: PackedType { .int64 } }
extension UInt: PackedElement { static var packedType: PackedType { .uint } }
extension UInt8: PackedElement { static var packedType: PackedType { .uint8 } }
extension UInt16: PackedElement { static var packedType: PackedType { .uint16 } }
extension UInt32: PackedElement { static var packedType: PackedType { .uint32 } }
extension UInt64: PackedElement { static var packedType: PackedType { .uint64 } }
extension Float: PackedElement { static var packedType: PackedType { .float } }
extension Double: PackedElement { static var packedType: PackedType { .double } }

extension Array: PackedArray where Element: PackedElement {
    static var packedType: PackedType { Element.packedType }
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
