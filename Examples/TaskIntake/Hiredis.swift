import CourseKit
import Glibc
import GreenPatch

/// A connection to Redis by hiredis, a C library whose calls block: on GreenPatch they park the green thread that makes them.
///
/// The library is loaded when it is used first, so the package builds without it.  The offsets are those of hiredis 0.14.
final class Hiredis: RedisCaller {
    private typealias Pointer = UnsafeMutableRawPointer
    private typealias Words = UnsafeMutablePointer<UnsafePointer<CChar>?>
    private let connect: @convention(c) (UnsafePointer<CChar>, Int32) -> Pointer?
    private let append: @convention(c) (Pointer, Int32, Words, UnsafePointer<Int>) -> Int32
    private let getReply: @convention(c) (Pointer, UnsafeMutablePointer<Pointer?>) -> Int32
    private let freeReply: @convention(c) (Pointer) -> Void
    private let free: @convention(c) (Pointer) -> Void
    private let context: Pointer

    init(_ host: String, _ port: Int) throws {
        let library = try Library("libhiredis.so.0.14")
        connect = try library.call("redisConnect")
        append = try library.call("redisAppendCommandArgv")
        getReply = try library.call("redisGetReply")
        freeReply = try library.call("freeReplyObject")
        free = try library.call("redisFree")
        let connect = connect
        guard let context = try GreenPatch.call({ connect(host, Int32(port)) }) else { throw Failed(text: "no memory") }
        self.context = context
        if let error = error { throw Failed(text: "cannot connect to \(host):\(port): \(error)") }
    }

    deinit { free(context) }

    struct Failed: Error, CustomStringConvertible {
        let text: String
        var description: String { "hiredis: \(text)" }
    }

    /// The context begins with `int err; char errstr[128];`.
    private var error: String? {
        context.load(as: Int32.self) == 0 ? nil : String(cString: (context + 4).assumingMemoryBound(to: CChar.self))
    }

    func call(_ commands: [[String]]) throws -> [Redis.Reply] {
        for words in commands { try append(words) }
        return try commands.map { _ in
            // A variable of this frame, which stays where it is while the call waits.
            var reply: Pointer?
            let result = try GreenPatch.call { getReply(context, &reply) }
            guard result == 0, let reply else { throw Failed(text: error ?? "no reply") }
            defer { freeReply(reply) }
            return Hiredis.reply(reply)
        }
    }

    private func append(_ words: [String]) throws {
        let copies = words.map { strdup($0)! }
        defer { for copy in copies { Glibc.free(copy) } }
        var pointers = copies.map { UnsafePointer<CChar>?($0) }
        let lengths = words.map(\.utf8.count)
        if append(context, Int32(words.count), &pointers, lengths) != 0 { throw Failed(text: error ?? "no memory") }
    }

    /// `int type; long long integer; size_t len; char *str; size_t elements; redisReply **element;`
    private static func reply(_ reply: Pointer) -> Redis.Reply {
        let text = UnsafeRawBufferPointer(
            start: reply.load(fromByteOffset: 24, as: Pointer?.self),
            count: reply.load(fromByteOffset: 16, as: Int.self))
        switch reply.load(as: Int32.self) {
        case 1: return .bytes([UInt8](text))
        case 2:
            let count = reply.load(fromByteOffset: 32, as: Int.self)
            let elements = reply.load(fromByteOffset: 40, as: UnsafeMutablePointer<Pointer>?.self)
            return .list((0..<count).map { self.reply(elements![$0]) })
        case 3: return .number(reply.load(fromByteOffset: 8, as: Int.self))
        case 5: return .status(String(decoding: text, as: UTF8.self))
        case 6: return .failure(String(decoding: text, as: UTF8.self))
        default: return .none
        }
    }
}
