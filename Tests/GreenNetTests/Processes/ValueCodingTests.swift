import TestSupport
import Testing

@testable import GreenNet

struct ValueCodingTests {
    // MARK: What goes through

    @Test func `values of all kinds come back as they were`() throws {
        try roundTrip(true)
        try roundTrip(nil as Int?)
        try roundTrip(5 as Int?)
        try roundTrip([1, 2] as [Int]?)
        try roundTrip("" as String)
        try roundTrip("é\u{0}\u{1F469}\u{200D}\u{1F680}")
        try roundTrip([[1, 2], [], [3]] as [[UInt16]])
        try roundTrip(["a": [1.5], "b": []] as [String: [Double]])
        try roundTrip([1: "one", -1: "minus"] as [Int: String])
        try roundTrip(Set([1, 2, 3]))
        try roundTrip([true, false] as [Bool])
        try roundTrip([nil, 1, nil] as [Int8?])
        try roundTrip(Shape.circle(radius: 2.5))
        try roundTrip([Shape.none, .polygon([1, 2, 3])])
        try roundTrip(Tree(name: "root", children: [Tree(name: "leaf", children: [])]))
        try roundTrip(Empty())
        try roundTrip(1...5)
        try roundTrip(Duration.seconds(3))
    }

    @Test func `integers come back at both ends of their ranges`() throws {
        try roundTrip(Int.min)
        try roundTrip(Int.max)
        try roundTrip(UInt64.max)
        try roundTrip(Int8.min)
        try roundTrip(UInt8.max)
        for shift in 0..<63 { try roundTrip([1 << shift, -(1 << shift), (1 << shift) - 1].map { Number($0) }) }
    }

    @Test func `floating-point numbers keep their bits`() throws {
        for value in [0.0, -0.0, .pi, .infinity, -.infinity, .leastNonzeroMagnitude, .greatestFiniteMagnitude] {
            let bytes = try ValueEncoder.encode(value, upTo: 100)
            #expect(try ValueDecoder.decode(Double.self, from: bytes[...]).bitPattern == value.bitPattern)
        }
        let nan = try ValueEncoder.encode(Float.nan, upTo: 100)
        #expect(try ValueDecoder.decode(Float.self, from: nan[...]).isNaN)
    }

    @Test func `arrays of numbers take their size and a few bytes, and plain bytes nothing beside`() throws {
        #expect(try ValueEncoder.encode([UInt8](repeating: 1, count: 64), upTo: 64).count == 64)
        #expect(try ValueEncoder.encode([Double](repeating: 1, count: 1000), upTo: 9000).count == 8004)
        #expect(try ValueEncoder.encode(3, upTo: 9000) == [3, 6])
        #expect(try ValueEncoder.encode(-1, upTo: 9000) == [3, 1])
        #expect(try ValueEncoder.encode("ab", upTo: 9000) == [7, 2, 97, 98])
        #expect(try ValueEncoder.encode(["a": true], upTo: 9000) == [10, 1, 1, 97, 2])
    }

    @Test func `classes with a superclass, and containers in containers, come back`() throws {
        let derived = try ValueDecoder.decode(
            Derived.self, from: try ValueEncoder.encode(Derived(base: 1, own: 2), upTo: 1000)[...])
        #expect(derived.base == 1 && derived.own == 2)
        let nested = try ValueDecoder.decode(Nested.self, from: try ValueEncoder.encode(Nested(), upTo: 1000)[...])
        #expect(nested.numbers == [7, 8, 9])
    }

    @Test func `an array of numbers is read one element after the other, too, and as numbers of another type`() throws {
        func elements<Element: PackedElement & Codable & Equatable>(
            _ array: [Element], sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let bytes = try ValueEncoder.encode([array], upTo: 1000)
            let decoded = try ValueDecoder.decode([OneByOne<Element>].self, from: bytes[...])
            #expect(decoded.first?.elements == array, sourceLocation: sourceLocation)
        }
        try elements([Int.min, 0, .max])
        try elements([Int8.min, 0, .max])
        try elements([Int16.min, 0, .max])
        try elements([Int32.min, 0, .max])
        try elements([Int64.min, 0, .max])
        try elements([UInt.max, 0])
        try elements([UInt8.max, 0])
        try elements([UInt16.max, 0])
        try elements([UInt32.max, 0])
        try elements([UInt64.max, 0])
        try elements([Float.pi, -0.5])
        try elements([Double.pi, -0.5])
        try elements([Int]())
        let small = try ValueEncoder.encode([UInt16(1), 300], upTo: 100)
        #expect(try ValueDecoder.decode([Int].self, from: small[...]) == [1, 300])
        #expect(try ValueDecoder.decode([Number].self, from: small[...]) == [Number(1), Number(300)])
    }

    // MARK: Limits

    @Test func `a value of more bytes than the limit is refused, one of as many goes`() throws {
        for value in [[UInt8](repeating: 0, count: 10)] {
            #expect(try ValueEncoder.encode(value, upTo: 10).count == 10)
            #expect(throws: ValueError.tooLong(limit: 9)) { try ValueEncoder.encode(value, upTo: 9) }
        }
        #expect(try ValueEncoder.encode("12345678", upTo: 10).count == 10)
        #expect(throws: ValueError.tooLong(limit: 9)) { try ValueEncoder.encode("12345678", upTo: 9) }
    }

    @Test func `values may lie in each other to the limit of depth, and no deeper`() throws {
        // Of a chain of trees, each lies in a list, and that in the tree before.
        func chain(_ length: Int) -> Tree {
            (1..<length).reduce(Tree(name: "", children: [])) { tree, _ in Tree(name: "", children: [tree]) }
        }
        try roundTrip(chain(32))
        #expect(throws: ValueError.tooDeep(limit: 64)) { try ValueEncoder.encode(chain(33), upTo: 100_000) }
        let deep = [UInt8](repeating: 0, count: 0) + Array(repeatElement([9, 1] as [UInt8], count: 1_000_000).joined())
        #expect(throws: ValueError.tooDeep(limit: 64)) { try ValueDecoder.decode(Tree.self, from: deep[...]) }
    }

    // MARK: Other bytes

    @Test(arguments: [
        [], [11], [255], [3], [3, 0x80], [7, 5, 97], [7, 1, 0xff], [8, 9, 1], [9, 200, 1], [10, 1], [5, 1, 2],
        [3, 2, 3, 2], [8, 12, 0], [8, 3, 2, 1, 2], [4] + [UInt8](repeating: 0xff, count: 10),
    ])
    func `bytes that are no value are refused`(bytes: [UInt8]) {
        #expect(throws: (any Error).self) { try ValueDecoder.decode(Int.self, from: bytes[...]) }
        #expect(throws: (any Error).self) { try ValueDecoder.decode([String: Int].self, from: bytes[...]) }
    }

    @Test func `a value of another type is refused, with what was expected and what was there`() throws {
        let bytes = try ValueEncoder.encode("text", upTo: 100)
        #expect {
            try ValueDecoder.decode(Int.self, from: bytes[...])
        } throws: { error in
            "\(error)".contains("expected Int, found a text")
        }
        #expect(throws: DecodingError.self) {
            try ValueDecoder.decode(UInt8.self, from: try ValueEncoder.encode(256, upTo: 100)[...])
        }
        #expect(throws: DecodingError.self) {
            try ValueDecoder.decode([Int8].self, from: try ValueEncoder.encode([UInt16(1), 128], upTo: 100)[...])
        }
        #expect(throws: DecodingError.self) {
            try ValueDecoder.decode([Double].self, from: try ValueEncoder.encode([Int64(1)], upTo: 100)[...])
        }
        #expect(throws: DecodingError.self) {
            try ValueDecoder.decode(Tree.self, from: try ValueEncoder.encode(["name": "x"], upTo: 100)[...])
        }
    }

    @Test func `bytes that were changed at random give a value or an error`() throws {
        var random = SeededRandom(seed: 7)
        let value = Everything()
        let bytes = try ValueEncoder.encode(value, upTo: 10_000)
        #expect(try ValueDecoder.decode(Everything.self, from: bytes[...]) == value)
        var refused = 0
        for _ in 0..<Sanitizer.scaled(20_000, address: 2000, thread: 2000) {
            var changed = bytes
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                switch Int.random(in: 0...2, using: &random) {
                case 0:
                    changed[Int.random(in: 0..<changed.count, using: &random)] = UInt8.random(
                        in: 0...255, using: &random)
                case 1: changed.removeSubrange(Int.random(in: 0..<changed.count, using: &random)...)
                default:
                    changed.insert(
                        UInt8.random(in: 0...11, using: &random), at: Int.random(in: 0...changed.count, using: &random))
                }
                if changed.isEmpty { break }
            }
            do { _ = try ValueDecoder.decode(Everything.self, from: changed[...]) } catch { refused += 1 }
        }
        #expect(refused > 100)
    }

    // MARK: Frames

    @Test func `frames come out as they went in, however the bytes are cut`() throws {
        let all = WorkerFrame.bytes(.hello) + WorkerFrame.bytes(.request, [1, 2, 3]) + WorkerFrame.bytes(.answer, [])
        for size in 1...all.count {
            var frames = WorkerFrames(limit: 3)
            var seen: [(WorkerFrame.Kind, [UInt8])] = []
            for start in stride(from: 0, to: all.count, by: size) {
                all[start..<min(all.count, start + size)].withUnsafeBytes { frames.append($0) }
                while let frame = try frames.next() { seen.append((frame.kind, Array(frame.payload))) }
            }
            #expect(seen.map(\.0) == [.hello, .request, .answer])
            #expect(seen.map(\.1) == [[], [1, 2, 3], []])
        }
    }

    @Test func `a frame that is too long or of no kind is refused before it has come`() {
        for header: [UInt8] in [[4, 0, 0, 0, 1], [0, 0, 0, 255, 1], [0, 0, 0, 0, 9], [1, 0, 1, 0, 2]] {
            var frames = WorkerFrames(limit: 3)
            header.withUnsafeBytes { frames.append($0) }
            #expect(throws: WorkerFrames.Malformed.self) { try frames.next() }
        }
    }

    private func roundTrip<Value: Codable & Equatable>(
        _ value: Value, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let bytes = try ValueEncoder.encode(value, upTo: 100_000)
        let decoded = try ValueDecoder.decode(Value.self, from: bytes[...])
        #expect(decoded == value, sourceLocation: sourceLocation)
    }
}

/// A number that is encoded by itself, and not packed.
private struct Number: Codable, Equatable {
    let value: Int
    init(_ value: Int) { self.value = value }
    init(from decoder: any Decoder) throws { value = try decoder.singleValueContainer().decode(Int.self) }
    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
}

/// Reads a list as code does that wants to see how long it is.
private struct OneByOne<Element: Codable>: Decodable {
    var elements: [Element] = []

    init(from decoder: any Decoder) throws {
        var container = try decoder.unkeyedContainer()
        for _ in 0..<container.count! { elements.append(try container.decode(Element.self)) }
        #expect(container.isAtEnd && container.currentIndex == elements.count)
    }
}

private enum Shape: Codable, Equatable {
    case none
    case circle(radius: Double)
    case polygon([Int])
}

private struct Tree: Codable, Equatable {
    var name: String
    var children: [Tree]
}

private struct Empty: Codable, Equatable {}

private class Base: Codable {
    var base = 0
}

private final class Derived: Base {
    let own: Int

    init(base: Int, own: Int) {
        self.own = own
        super.init()
        self.base = base
    }

    enum Keys: CodingKey { case own }

    required init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Keys.self)
        own = try container.decode(Int.self, forKey: .own)
        try super.init(from: try container.superDecoder())
    }

    override func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Keys.self)
        try container.encode(own, forKey: .own)
        try super.encode(to: container.superEncoder())
    }
}

/// Fills containers in an order that is not that of the bytes.
private struct Nested: Codable {
    var numbers = [7, 8, 9]

    enum Keys: CodingKey { case list, inner }

    init() {}

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Keys.self)
        var list = try container.nestedUnkeyedContainer(forKey: .list)
        let inner = try container.nestedContainer(keyedBy: Keys.self, forKey: .inner)
        numbers = [try list.decode(Int.self), try inner.decode(Int.self, forKey: .list), try list.decode(Int.self)]
        #expect(list.isAtEnd)
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Keys.self)
        var list = container.nestedUnkeyedContainer(forKey: .list)
        var inner = container.nestedContainer(keyedBy: Keys.self, forKey: .inner)
        try list.encode(numbers[0])
        try inner.encode(numbers[1], forKey: .list)
        try list.encode(numbers[2])
    }
}

private struct Everything: Codable, Equatable {
    var flag = true
    var small: Int8 = -3
    var large = UInt64.max
    var ratio: Float = 0.5
    var text = "häuser"
    var numbers = [1.5, 2.5]
    var optional: Int?
    var shapes = [Shape.none, .circle(radius: 1), .polygon([1, 2])]
    var tree = Tree(name: "a", children: [Tree(name: "b", children: [])])
    var table = ["a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7, "h": 8, "i": 9, "j": 10]
}
