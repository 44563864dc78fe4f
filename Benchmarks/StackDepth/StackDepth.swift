import Foundation
import GreenNet

/// `StackDepth`: how much of a green thread's stack common calls take, as a Markdown table.  `StackDepth NAME`: one of its lines.
///
/// Each line comes from a process of its own, since the first use of a function takes more than the later ones.  `StackDepth left` prints what the
/// main green thread and others have before their first call; `StackDepth overflow` ends with the report of an overflow; `StackDepth accepts` how many levels of JSON Foundation accepts; `StackDepth trip BYTES` whether as many levels as
/// `JSONEncoder` accepts go through both ways on a stack of so many bytes.
@main
struct StackDepth {
    static func main() throws {
        switch CommandLine.arguments.dropFirst() {
        case []: try printAll()
        case ["left"]: try printLeft()
        case ["overflow"]: print(try spawn(name: "deep") { Node(levels: 1_000_000).depth }.value())
        case ["accepts"]:
            let (encoder, decoder) = try onLargeStack { (encodableLevels(), decodableLevels()) }
            print("accepts\tJSONEncoder \(encoder) levels, JSONDecoder \(decoder) levels")
        case let words where words.first == "trip" && words.count == 2: try roundTrip(stackSize: Int(words.last!)!)
        case let words: print(try line(words.first!))
        }
    }

    private static func printAll() throws {
        print("| What | Command | First use, bytes | Later, bytes | A level, bytes | Levels in 256 KiB |")
        print("| --- | --- | ---: | ---: | ---: | ---: |")
        for name in Call.all.keys.sorted() + Recursion.all.keys.sorted() {
            let output = try ChildProcess.run(CommandLine.arguments[0], [name]).output
            print(String(decoding: output, as: UTF8.self), terminator: "")
        }
    }

    private static func printLeft() throws {
        print("main\t\(Greenlet.stackLeft) bytes")
        for size in [64 << 10, 256 << 10, 1 << 20] {
            print("stackSize: \(size)\t\(try spawn(stackSize: size) { Greenlet.stackLeft }.value()) bytes")
        }
    }

    private static func line(_ name: String) throws -> String {
        if let call = Call.all[name] {
            let (first, later) = try (depth(of: call.body), depth(of: call.body))
            return "| \(call.title) | `StackDepth \(name)` | \(first) | \(later) | | |"
        }
        guard let recursion = Recursion.all[name] else { fatalError("no case is called \(name)") }
        // Warm, and with as many bytes before the first level as there are.
        _ = try depth { try recursion.body(2) }
        let (few, many) = try (depth { try recursion.body(10) }, depth { try recursion.body(74) })
        let level = (many - few) / 64
        let first = try spawn { Greenlet.stackLeft }.value()
        return
            "| \(recursion.title) | `StackDepth \(name)` | | | \(level) | \((first - few) / level + 10) |"
    }

    private static func roundTrip(stackSize: Int) throws {
        let levels = try onLargeStack { encodableLevels() }
        let bytes = try spawn(stackSize: stackSize) {
            let data = try JSONEncoder().encode(Node(levels: levels))
            return try JSONEncoder().encode(JSONDecoder().decode(Node.self, from: data)) == data ? data.count : 0
        }.value()
        print("trip\t\(levels) levels, \(bytes) bytes of JSON, both ways on a stack of \(stackSize) bytes")
    }

    private static func encodableLevels() -> Int { mostLevels { _ = try JSONEncoder().encode(Node(levels: $0)) } }

    /// Brackets in brackets, as a stranger may send them.
    private static func decodableLevels() -> Int {
        mostLevels { levels in
            let text = String(repeating: "[", count: levels) + String(repeating: "]", count: levels)
            _ = try JSONDecoder().decode(Lists.self, from: Data(text.utf8))
        }
    }

    private static func mostLevels(_ body: (Int) throws -> Void) -> Int {
        (1...2000).last { (try? body($0)) != nil } ?? 0
    }
}

// MARK: Measuring

/// Far more than is needed, so that the deepest byte can be found.
private func onLargeStack<Value>(_ body: @escaping () throws -> Value) throws -> Value {
    try spawn(stackSize: 16 << 20, body).value()
}

/// Keeps the stacks that were used: the next measurement needs one on which nothing was written.
nonisolated(unsafe) private var keepers: [Greenlet<Void>] = []  // touched on the main OS thread only

/// How many bytes of stack `body` takes, those that it calls included.
private func depth(of body: @escaping () throws -> Void) throws -> Int {
    var result: Result<Int, any Error>?
    let measured = GreenEvent()
    keepers.append(
        spawn(stackSize: 16 << 20) {
            let before = Greenlet.stackLeft
            result = Result {
                try body()
                return before - untouchedBytes()
            }
            measured.set()
            try Greenlet.sleep(until: .never)
        })
    try measured.wait()
    return try result!.get()
}

/// From the guard up: what no call has written to.  A stack that is used for the first time has zeros everywhere.
@inline(never)
private func untouchedBytes() -> Int {
    var here = 0
    let address = withUnsafeMutablePointer(to: &here) { UInt(bitPattern: $0) }
    let low = (address - UInt(Greenlet.stackLeft)) / 4096 * 4096
    var word = UnsafePointer<UInt>(bitPattern: low)!
    while word.pointee == 0 { word += 1 }
    return Int(UInt(bitPattern: word) - low)
}

// MARK: What is measured

/// A call whose depth does not depend on its argument.
struct Call: Sendable {
    let title: String
    let body: @Sendable () throws -> Void

    init(_ title: String, _ body: @escaping @Sendable () throws -> Void) { (self.title, self.body) = (title, body) }

    static let all: [String: Call] = [
        "nothing": Call("an empty function") {},
        "error": Call("`\"\\(error)\"` of a thrown error") { use("\(Problem.odd(number: 7, name: "seven"))") },
        "struct": Call("`\"\\(value)\"` of a struct of three properties") { use("\(Plain(a: 1, b: "two", c: [3]))") },
        "print": Call("`print` of a string and a number") { print("text", 7, to: &sink) },
        "dump": Call("`dump` of a struct of three properties") { dump(Plain(a: 1, b: "two", c: [3]), to: &sink) },
        "regex": Call("`firstMatch` of a `Regex`") {
            use(String(describing: try /(\w+)=(\d+)/.firstMatch(in: "a b=12")))
        },
        "split": Call("`split`, `sorted` and `joined` of a string") {
            use("b,a,c".split(separator: ",").sorted().joined())
        },
        "format": Call("`String(format:)`, Foundation") { use(String(format: "%.3f %@", 1.5, "text")) },
        "url": Call("`URL(string:)`, Foundation") { use(URL(string: "http://localhost:8080/a?b=c")!.path) },
        "date": Call("`Date().formatted(.iso8601)`, Foundation") { use(Date().formatted(.iso8601)) },
        "dateformatter": Call("`DateFormatter`, Foundation") {
            let formatter = DateFormatter()
            formatter.dateStyle = .full
            use(formatter.string(from: Date()))
        },
        "encode": Call("`JSONEncoder` of a struct of three properties, Foundation") {
            use(String(decoding: try JSONEncoder().encode(Plain(a: 1, b: "two", c: [3])), as: UTF8.self))
        },
        "decode": Call("`JSONDecoder` of a struct of three properties, Foundation") {
            let text = #"{"a": 1, "b": "two", "c": [3]}"#
            use(try JSONDecoder().decode(Plain.self, from: Data(text.utf8)).b)
        },
        "resolve": Call("`Connection.connect(toHost:)` that is refused") {
            _ = try? Connection.connect(toHost: "localhost", port: 1)
        },
    ]
}

/// A call that calls itself once for each level of its argument.
struct Recursion: Sendable {
    let title: String
    let body: @Sendable (Int) throws -> Void

    init(_ title: String, _ body: @escaping @Sendable (Int) throws -> Void) { (self.title, self.body) = (title, body) }

    static let all: [String: Recursion] = [
        "levels-own": Recursion("a method that walks a list of objects") { use("\(Node(levels: $0).depth)") },
        "levels-describe": Recursion("`\"\\(value)\"` of structs with arrays of such structs") {
            use("\(Tree(levels: $0))")
        },
        "levels-encode": Recursion("`JSONEncoder` of nested objects, Foundation") {
            use(String(decoding: try JSONEncoder().encode(Node(levels: $0)), as: UTF8.self))
        },
        "levels-decode": Recursion("`JSONDecoder` of nested objects, Foundation") {
            use("\(try JSONDecoder().decode(Node.self, from: Node.json(levels: $0)).depth)")
        },
        "levels-lists": Recursion("`JSONDecoder` of `[[[…]]]`, Foundation") { levels in
            let text = String(repeating: "[", count: levels) + String(repeating: "]", count: levels)
            _ = try JSONDecoder().decode(Lists.self, from: Data(text.utf8))
        },
        "levels-skipped": Recursion("`JSONDecoder` of levels that no property takes, Foundation") { levels in
            let lists = String(repeating: "[", count: levels) + String(repeating: "]", count: levels)
            let text = #"{"a": 1, "b": "", "c": [], "x": "# + lists + "}"
            use(try JSONDecoder().decode(Plain.self, from: Data(text.utf8)).b)
        },
        "levels-serialization": Recursion("`JSONSerialization.jsonObject`, Foundation") { levels in
            let text = String(repeating: "[", count: levels) + String(repeating: "]", count: levels)
            _ = try JSONSerialization.jsonObject(with: Data(text.utf8))
        },
        "levels-plist": Recursion("`PropertyListEncoder` of nested objects, Foundation") {
            _ = try PropertyListEncoder().encode(Node(levels: $0))
        },
    ]
}

enum Problem: Error {
    case odd(number: Int, name: String)
}

struct Plain: Codable {
    let a: Int
    let b: String
    let c: [Int]
}

/// Structs in structs.
struct Tree {
    var children: [Tree] = []

    init(levels: Int) { for _ in 1..<levels { self = Tree(around: self) } }
    private init(around child: Tree) { children = [child] }
}

/// Objects in objects.
final class Node: Codable {
    let child: Node?

    init(levels: Int) { child = levels > 1 ? Node(levels: levels - 1) : nil }

    @inline(never) var depth: Int { 1 + (child?.depth ?? 0) }

    static func json(levels: Int) -> Data {
        let begin = String(repeating: #"{"child":"#, count: levels - 1)
        return Data((begin + "{}" + String(repeating: "}", count: levels - 1)).utf8)
    }
}

/// Any lists in lists.
struct Lists: Decodable {
    init(from decoder: any Decoder) throws {
        var list = try decoder.unkeyedContainer()
        while !list.isAtEnd { _ = try list.decode(Lists.self) }
    }
}

/// So that the optimizer leaves the call.
@inline(never)
private func use(_ text: String) { if text == "never" { print(text) } }

struct Sink: TextOutputStream {
    mutating func write(_ text: String) { use(text) }
}
nonisolated(unsafe) var sink = Sink()  // has no state
