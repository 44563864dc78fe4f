/// Makes bytes of a value, for another process of the same program.  `CodedValue` says how they look.
package enum ValueEncoder {
    /// Throws `ValueError` where the value takes more than `limit` bytes or is too deep, and what `value` throws.
    package static func encode<Value: Encodable>(_ value: Value, upTo limit: Int) throws -> [UInt8] {
        if Value.self == [UInt8].self {
            let bytes = value as! [UInt8]
            if bytes.count > limit { throw ValueError.tooLong(limit: limit) }
            return bytes
        }
        let node = EncodedNode()
        try node.encode(value, [])
        var writer = ValueWriter(limit: limit)
        try writer.write(node)
        return writer.bytes
    }
}

/// A part of the value.  An object, for a container may be filled after the one around it.
private final class EncodedNode {
    enum Content {
        case value(CodedValue)
        case list([EncodedNode])
        case keyed([(key: String, node: EncodedNode)])
    }

    /// A value that encodes nothing, such as a structure without fields, has no keys.
    var content = Content.keyed([])

    func encode(_ value: some Encodable, _ path: [any CodingKey]) throws {
        if path.count >= CodedValue.depthLimit { throw ValueError.tooDeep(limit: CodedValue.depthLimit) }
        if let array = value as? any PackedArray {
            content = .value(.packed(type(of: array).packedType, array.packedBytes[...]))
        } else {
            try value.encode(to: NodeEncoder(node: self, codingPath: path))
        }
    }

    func child(_ key: String) -> EncodedNode {
        guard case .keyed(var fields) = content else { fatalError("a container with and without keys in one") }
        let node = EncodedNode()
        content = .keyed([])  // else the fields would be copied
        fields.append((key, node))
        content = .keyed(fields)
        return node
    }

    var count: Int { if case .list(let nodes) = content { nodes.count } else { 0 } }

    func append() -> EncodedNode {
        guard case .list(var nodes) = content else { fatalError("a container with and without keys in one") }
        let node = EncodedNode()
        content = .list([])
        nodes.append(node)
        content = .list(nodes)
        return node
    }
}

private struct ValueWriter {
    let limit: Int
    var bytes: [UInt8] = []

    mutating func write(_ node: EncodedNode) throws(ValueError) {
        switch node.content {
        case .value(let value): write(value)
        case .list(let nodes):
            begin(.list, nodes.count)
            for node in nodes { try write(node) }
        case .keyed(let fields):
            begin(.keyed, fields.count)
            for field in fields {
                write(field.key)
                try write(field.node)
            }
        }
        if bytes.count > limit { throw .tooLong(limit: limit) }
    }

    private mutating func write(_ value: CodedValue) {
        switch value {
        case .null, .list, .keyed: bytes.append(CodedValue.Tag.null.rawValue)
        case .bool(let value): bytes.append((value ? CodedValue.Tag.yes : .no).rawValue)
        case .signed(let value): begin(.signed, UInt64(bitPattern: value << 1 ^ value >> 63))
        case .unsigned(let value): begin(.unsigned, value)
        case .float(let value): append(.float, value.bitPattern)
        case .double(let value): append(.double, value.bitPattern)
        case .text(let text):
            bytes.append(CodedValue.Tag.text.rawValue)
            write(text)
        case .packed(let type, let elements):
            bytes += [CodedValue.Tag.packed.rawValue, type.rawValue]
            writeNumber(UInt64(elements.count))
            bytes += elements
        }
    }

    private mutating func write(_ text: String) {
        writeNumber(UInt64(text.utf8.count))
        bytes += text.utf8
    }

    private mutating func begin(_ tag: CodedValue.Tag, _ number: some BinaryInteger) {
        bytes.append(tag.rawValue)
        writeNumber(UInt64(number))
    }

    private mutating func append(_ tag: CodedValue.Tag, _ bits: some FixedWidthInteger) {
        bytes.append(tag.rawValue)
        withUnsafeBytes(of: bits) { bytes += $0 }
    }

    private mutating func writeNumber(_ number: UInt64) {
        var rest = number
        while rest > 0x7f {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}

// MARK: - What values see

private struct NodeEncoder: Encoder {
    let node: EncodedNode
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        KeyedEncodingContainer(KeyedNodes(node: node, codingPath: codingPath))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        if case .list = node.content {} else { node.content = .list([]) }
        return ListedNodes(node: node, codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { SingleNode(node: node, codingPath: codingPath) }
}

private struct KeyedNodes<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let node: EncodedNode
    let codingPath: [any CodingKey]

    func encodeNil(forKey key: Key) { node.child(key.stringValue).content = .value(.null) }

    func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
        try node.child(key.stringValue).encode(value, codingPath + [key])
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy keyType: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> {
        encoder(key).container(keyedBy: keyType)
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { encoder(key).unkeyedContainer() }
    func superEncoder() -> any Encoder { encoder(ValueKey(stringValue: "super")) }
    func superEncoder(forKey key: Key) -> any Encoder { encoder(key) }

    private func encoder(_ key: any CodingKey) -> NodeEncoder {
        NodeEncoder(node: node.child(key.stringValue), codingPath: codingPath + [key])
    }
}

private struct ListedNodes: UnkeyedEncodingContainer {
    let node: EncodedNode
    let codingPath: [any CodingKey]
    var count: Int { node.count }

    func encodeNil() { node.append().content = .value(.null) }

    func encode<T: Encodable>(_ value: T) throws {
        let path = codingPath + [ValueKey(intValue: count)]
        try node.append().encode(value, path)
    }

    func nestedContainer<Nested: CodingKey>(keyedBy keyType: Nested.Type) -> KeyedEncodingContainer<Nested> {
        encoder().container(keyedBy: keyType)
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { encoder().unkeyedContainer() }
    func superEncoder() -> any Encoder { encoder() }

    private func encoder() -> NodeEncoder {
        let path = codingPath + [ValueKey(intValue: count)]
        return NodeEncoder(node: node.append(), codingPath: path)
    }
}

private struct SingleNode: SingleValueEncodingContainer {
    let node: EncodedNode
    let codingPath: [any CodingKey]

    func encodeNil() { node.content = .value(.null) }
    func encode(_ value: Bool) { node.content = .value(.bool(value)) }
    func encode(_ value: String) { node.content = .value(.text(value)) }
    func encode(_ value: Double) { node.content = .value(.double(value)) }
    func encode(_ value: Float) { node.content = .value(.float(value)) }
    func encode(_ value: Int) { node.content = .value(.signed(Int64(value))) }
    func encode(_ value: Int8) { node.content = .value(.signed(Int64(value))) }
    func encode(_ value: Int16) { node.content = .value(.signed(Int64(value))) }
    func encode(_ value: Int32) { node.content = .value(.signed(Int64(value))) }
    func encode(_ value: Int64) { node.content = .value(.signed(value)) }
    func encode(_ value: UInt) { node.content = .value(.unsigned(UInt64(value))) }
    func encode(_ value: UInt8) { node.content = .value(.unsigned(UInt64(value))) }
    func encode(_ value: UInt16) { node.content = .value(.unsigned(UInt64(value))) }
    func encode(_ value: UInt32) { node.content = .value(.unsigned(UInt64(value))) }
    func encode(_ value: UInt64) { node.content = .value(.unsigned(value)) }

    // A value that encodes another one in its place is one level deeper: else it could do so without an end.
    func encode<T: Encodable>(_ value: T) throws { try node.encode(value, codingPath + [ValueKey(intValue: 0)]) }
}

/// The place of a value in a list, or of what a subclass inherits.
struct ValueKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    init(stringValue: String) { (self.stringValue, intValue) = (stringValue, nil) }
    init(intValue: Int) { (stringValue, self.intValue) = ("\(intValue)", intValue) }
}
