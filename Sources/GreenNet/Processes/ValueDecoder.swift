/// Reads what `ValueEncoder` has written.  Whatever the bytes are, it ends with a value or an error, and takes memory in proportion to them.
package enum ValueDecoder {
    /// Throws `ValueError` or `DecodingError` where `bytes` are no `Value`, and what the value's own `init(from:)` throws.
    package static func decode<Value: Decodable>(_ type: Value.Type, from bytes: ArraySlice<UInt8>) throws -> Value {
        if type == [UInt8].self { return [UInt8](bytes) as! Value }
        var reader = ValueReader(bytes: bytes)
        let value = try reader.read(depth: 0)
        if !reader.bytes.isEmpty { throw ValueError.malformed("\(reader.bytes.count) bytes are left behind it") }
        return try NodeDecoder(value: value, codingPath: []).decode(type)
    }
}

private struct ValueReader {
    var bytes: ArraySlice<UInt8>

    mutating func read(depth: Int) throws(ValueError) -> CodedValue {
        // One more than an encoder makes: it counts keys, of which the outermost value has none.
        if depth > CodedValue.depthLimit { throw .tooDeep(limit: CodedValue.depthLimit) }
        guard let byte = bytes.popFirst(), let tag = CodedValue.Tag(rawValue: byte) else {
            throw .malformed("a part of it has no known kind")
        }
        switch tag {
        case .null: return .null
        case .no: return .bool(false)
        case .yes: return .bool(true)
        case .signed:
            let number = try readNumber()
            return .signed(Int64(bitPattern: number >> 1) ^ -Int64(number & 1))
        case .unsigned: return .unsigned(try readNumber())
        case .float: return .float(Float(bitPattern: try readBits()))
        case .double: return .double(Double(bitPattern: try readBits()))
        case .text: return .text(try readText())
        case .packed: return try readPacked()
        case .list: return try readList(depth)
        case .keyed: return try readKeyed(depth)
        }
    }

    private mutating func readPacked() throws(ValueError) -> CodedValue {
        guard let byte = bytes.popFirst(), let type = PackedType(rawValue: byte) else {
            throw .malformed("a packed array has elements of no known type")
        }
        let elements = try take(try readLength())
        guard elements.count % type.size == 0 else { throw .malformed("a packed array ends in an element") }
        return .packed(type, elements)
    }

    private mutating func readList(_ depth: Int) throws(ValueError) -> CodedValue {
        var values: [CodedValue] = []
        for _ in 0..<(try readLength()) { values.append(try read(depth: depth + 1)) }
        return .list(values)
    }

    private mutating func readKeyed(_ depth: Int) throws(ValueError) -> CodedValue {
        var fields: [(key: String, value: CodedValue)] = []
        for _ in 0..<(try readLength()) { fields.append((try readText(), try read(depth: depth + 1))) }
        return .keyed(fields)
    }

    private mutating func readNumber() throws(ValueError) -> UInt64 {
        var number: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = bytes.popFirst() else { throw .malformed("it ends in a number") }
            let bits = UInt64(byte & 0x7f)
            if shift == 63, bits > 1 { break }
            number |= bits << shift
            if byte & 0x80 == 0 { return number }
        }
        throw .malformed("a number has more than 64 bits")
    }

    /// Of bytes, or of values, each of which has one byte or more.
    private mutating func readLength() throws(ValueError) -> Int {
        let number = try readNumber()
        guard number <= bytes.count else { throw .malformed("a length of \(number), with \(bytes.count) bytes left") }
        return Int(number)
    }

    private mutating func take(_ count: Int) throws(ValueError) -> ArraySlice<UInt8> {
        guard count <= bytes.count else { throw .malformed("it ends in the middle") }
        defer { bytes = bytes.dropFirst(count) }
        return bytes.prefix(count)
    }

    private mutating func readText() throws(ValueError) -> String {
        guard let text = String(validating: try take(try readLength()), as: UTF8.self) else {
            throw .malformed("a text is not UTF-8")
        }
        return text
    }

    private mutating func readBits<Bits: FixedWidthInteger>() throws(ValueError) -> Bits {
        let taken = try take(MemoryLayout<Bits>.size)
        return taken.withUnsafeBytes { $0.loadUnaligned(as: Bits.self) }
    }
}

// MARK: - What values see

private struct NodeDecoder: Decoder {
    let value: CodedValue
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func decode<T: Decodable>(_ type: T.Type) throws -> T {
        if codingPath.count > CodedValue.depthLimit { throw ValueError.tooDeep(limit: CodedValue.depthLimit) }
        if case .packed(let packed, let bytes) = value, let array = type as? any PackedArray.Type,
            array.packedType == packed, let array = array.init(packed: bytes)
        {
            return array as! T
        }
        return try T(from: self)
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .keyed(let fields) = value else { throw mismatch([String: Any].self) }
        return KeyedDecodingContainer(KeyedValues(fields, codingPath))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        switch value {
        case .list, .packed: return ListedValues(list: value, codingPath: codingPath)
        default: throw mismatch([Any].self)
        }
    }

    func singleValueContainer() -> any SingleValueDecodingContainer { SingleValue(decoder: self) }

    func mismatch(_ type: Any.Type, _ found: String? = nil) -> DecodingError {
        .typeMismatch(
            type, .init(codingPath: codingPath, debugDescription: "expected \(type), found \(found ?? value.kind)"))
    }
}

extension CodedValue {
    fileprivate var kind: String {
        switch self {
        case .null: "nil"
        case .bool: "a truth value"
        case .signed, .unsigned: "an integer"
        case .float, .double: "a floating-point number"
        case .text: "a text"
        case .packed: "a packed array"
        case .list: "a list"
        case .keyed: "values with keys"
        }
    }
}

private struct KeyedValues<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let codingPath: [any CodingKey]
    private let fields: [(key: String, value: CodedValue)]
    /// Only of many: a few are found sooner one after the other.
    private let index: [String: Int]

    init(_ fields: [(key: String, value: CodedValue)], _ codingPath: [any CodingKey]) {
        (self.fields, self.codingPath) = (fields, codingPath)
        index =
            fields.count < 9
            ? [:] : Dictionary(zip(fields.map(\.key), fields.indices), uniquingKeysWith: { first, _ in first })
    }

    var allKeys: [Key] { fields.compactMap { Key(stringValue: $0.key) } }

    private func find(_ key: any CodingKey) -> CodedValue? {
        if fields.count >= 9 { return index[key.stringValue].map { fields[$0].value } }
        return fields.first { $0.key == key.stringValue }?.value
    }

    private func decoder(_ key: any CodingKey) throws -> NodeDecoder {
        guard let value = find(key) else {
            throw DecodingError.keyNotFound(
                key, .init(codingPath: codingPath, debugDescription: "there is no value for \(key.stringValue.escaped)")
            )
        }
        return NodeDecoder(value: value, codingPath: codingPath + [key])
    }

    func contains(_ key: Key) -> Bool { find(key) != nil }

    func decodeNil(forKey key: Key) throws -> Bool {
        if case .null = try decoder(key).value { true } else { false }
    }

    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T { try decoder(key).decode(type) }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> {
        try decoder(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try decoder(key).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder { try decoder(ValueKey(stringValue: "super")) }
    func superDecoder(forKey key: Key) throws -> any Decoder { try decoder(key) }
}

private struct ListedValues: UnkeyedDecodingContainer {
    /// A list, or a packed array.
    let list: CodedValue
    let codingPath: [any CodingKey]
    private(set) var currentIndex = 0

    var count: Int? {
        switch list {
        case .list(let values): values.count
        case .packed(let type, let bytes): bytes.count / type.size
        default: 0
        }
    }

    var isAtEnd: Bool { currentIndex == count }

    private var current: CodedValue {
        switch list {
        case .list(let values): values[currentIndex]
        case .packed(let type, let bytes): type.element(currentIndex, of: bytes)
        default: .null
        }
    }

    private func decoder(_ type: Any.Type) throws -> NodeDecoder {
        let path = codingPath + [ValueKey(intValue: currentIndex)]
        if isAtEnd {
            throw DecodingError.valueNotFound(type, .init(codingPath: path, debugDescription: "the list has ended"))
        }
        return NodeDecoder(value: current, codingPath: path)
    }

    mutating func decodeNil() throws -> Bool {
        guard case .null = try decoder(Never.self).value else { return false }
        currentIndex += 1
        return true
    }

    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
        let value = try decoder(type).decode(type)
        currentIndex += 1
        return value
    }

    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type
    ) throws -> KeyedDecodingContainer<Nested> {
        let container = try decoder(type).container(keyedBy: type)
        currentIndex += 1
        return container
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        let container = try decoder([Any].self).unkeyedContainer()
        currentIndex += 1
        return container
    }

    mutating func superDecoder() throws -> any Decoder {
        let decoder = try decoder((any Decoder).self)
        currentIndex += 1
        return decoder
    }
}

private struct SingleValue: SingleValueDecodingContainer {
    let decoder: NodeDecoder
    var codingPath: [any CodingKey] { decoder.codingPath }

    func decodeNil() -> Bool { if case .null = decoder.value { true } else { false } }

    func decode(_ type: Bool.Type) throws -> Bool {
        guard case .bool(let value) = decoder.value else { throw decoder.mismatch(type) }
        return value
    }

    func decode(_ type: String.Type) throws -> String {
        guard case .text(let value) = decoder.value else { throw decoder.mismatch(type) }
        return value
    }

    func decode(_ type: Double.Type) throws -> Double {
        guard case .double(let value) = decoder.value else { throw decoder.mismatch(type) }
        return value
    }

    func decode(_ type: Float.Type) throws -> Float {
        guard case .float(let value) = decoder.value else { throw decoder.mismatch(type) }
        return value
    }

    func decode(_ type: Int.Type) throws -> Int { try integer() }
    func decode(_ type: Int8.Type) throws -> Int8 { try integer() }
    func decode(_ type: Int16.Type) throws -> Int16 { try integer() }
    func decode(_ type: Int32.Type) throws -> Int32 { try integer() }
    func decode(_ type: Int64.Type) throws -> Int64 { try integer() }
    func decode(_ type: UInt.Type) throws -> UInt { try integer() }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try integer() }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try integer() }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try integer() }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try integer() }

    private func integer<Number: FixedWidthInteger>() throws -> Number {
        let number: Number?
        switch decoder.value {
        case .signed(let value): number = Number(exactly: value)
        case .unsigned(let value): number = Number(exactly: value)
        default: throw decoder.mismatch(Number.self)
        }
        guard let number else { throw decoder.mismatch(Number.self, "an integer beyond it") }
        return number
    }

    // One level deeper, as when it was encoded.
    func decode<T: Decodable>(_ type: T.Type) throws -> T {
        try NodeDecoder(value: decoder.value, codingPath: codingPath + [ValueKey(intValue: 0)]).decode(type)
    }
}
