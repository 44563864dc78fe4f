internal import CLibraries
import Glibc
import GreenNet
import GreenPatch

/// A C library, and blocking calls of it.
struct Library: Sendable {
    /// One call, made once; returns the text that came back, and throws the library's error.
    typealias Call = () throws -> String

    let name: String
    /// Called once, on the main green thread.  Throws where the library can't be loaded.
    let load: @Sendable () throws -> Void
    /// What has to be done before the call that is measured.  May wait.
    let prepare: @Sendable ([String]) throws -> Call

    static let all = [curl, redis, postgres, mariadb, ssh, sqlite]

    static let curl = Library("curl", library_load_curl) { library_curl_get($0[0], nil, &$1) }
    static let redis = Library("redis", library_load_redis) { library_redis(number($0[0]), $0[1], &$1) }
    static let postgres = Library("postgres", library_load_postgres) { library_postgres($0[0], $0[1], &$1) }
    static let mariadb = Library("mariadb", library_load_mariadb) { library_mariadb(number($0[0]), $0[1], &$1) }
    static let sqlite = Library("sqlite", library_load_sqlite) { library_sqlite($0[0], $0[1], &$1) }

    /// Key exchanges, which keep the server's processor busy, come before the call.
    static let ssh = Library("ssh", library_load_ssh) { words in
        var session: OpaquePointer?
        _ = try answer { session = library_ssh_open(number(words[0]), words[1], words[2], words[3], &$0) }
        return {
            defer { library_ssh_close(session) }
            return try answer { library_ssh_run(session, words[4], &$0) }
        }
    }

    private init(
        _ name: String, _ load: @escaping @Sendable (UnsafeMutablePointer<library_answer>?) -> Int32,
        _ prepare: @escaping @Sendable ([String]) throws -> Call
    ) {
        (self.name, self.prepare) = (name, prepare)
        self.load = { _ = try answer { _ = load(&$0) } }
    }

    /// A library whose connection is part of the call.
    private init(
        _ name: String, _ load: @escaping @Sendable (UnsafeMutablePointer<library_answer>?) -> Int32,
        _ call: @escaping @Sendable ([String], inout library_answer) -> Void
    ) {
        self.init(name, load) { words in { try answer { call(words, &$0) } } }
    }
}

/// What `call` has set.
private func answer(_ call: (inout library_answer) -> Void) throws -> String {
    // A local variable: C code that parks keeps an access to it open.
    var answer = library_answer()
    call(&answer)
    if answer.has_failed != 0 { throw LibraryError(answer) }
    return text(of: &answer.text)
}

struct LibraryError: Error, CustomStringConvertible {
    let description: String

    init(_ answer: library_answer) {
        var answer = answer
        description = text(of: &answer.error)
    }
}

private func number(_ text: String) -> Int32 { Int32(text)! }

/// A C array up to its zero byte.
private func text<Tuple>(of array: inout Tuple) -> String {
    withUnsafeBytes(of: &array) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}

extension Library {
    /// Makes `count` calls at the same time, each on a green thread of its own, and prints how it went.
    func run(_ count: Int, _ words: [String]) throws {
        let calls = try (0..<count).map { _ in spawn { try prepare(words) } }.map { try $0.value() }
        let watch = GapWatch()
        var (failures, answers) = (0, Set<String>())
        let took = elapsed {
            let callers = calls.map { call in
                spawn { GreenPatch.isInstalled ? try GreenPatch.call { try call() } : try call() }
            }
            for caller in callers {
                do { answers.insert(try caller.value()) } catch {
                    failures += 1
                    print("failed: \(error)")
                }
            }
        }
        watch.end()
        print("answers \(answers.sorted().joined(separator: ",").split(separator: "\n").joined(separator: " "))")
        print("failures \(failures)")
        print("took \(took.inSeconds)")
        print("gap \(watch.longest.inSeconds)")
    }

    /// Makes calls that are killed, late, cut off by the server, or left alone, as the numbers from `seeds` say.
    ///
    /// Of libcurl there are two URLs: the answer to the second one never ends.
    func disturb(seeds: Int, _ words: [String]) throws {
        var ends: [String: Int] = [:]
        for seed in 0..<seeds {
            var random = SeededNumbers(seed: UInt64(seed))
            let callers = (0..<4).map { _ in disturbed(words, &random) }
            for caller in callers {
                let end = try caller.value()
                ends[end, default: 0] += 1
            }
        }
        print("ends \(ends.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))")
    }

    private func disturbed(_ words: [String], _ random: inout SeededNumbers) -> Greenlet<String> {
        let isCutOff = name == "curl" && random.next() % 4 == 0
        let words = isCutOff ? [words[1]] : words
        let (kind, delay) = (random.next() % 3, Duration.microseconds(Int64(random.next() % 6000)))
        let caller = spawn {
            let body = { try GreenPatch.call { try prepare(words)() } }
            return kind == 1 ? try withTimeout(delay, body) : try body()
        }
        return spawn {
            if kind == 2 {
                try Greenlet.sleep(for: delay)
                caller.kill()
            }
            try caller.join()
            do { _ = try caller.value() } catch {
                return caller.state == .killed
                    ? "killed" : error is TimedOut ? "timed out" : isCutOff ? "cut off" : "failed: \(error)"
            }
            return "finished"
        }
    }
}

/// SplitMix64.
struct SeededNumbers {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// Measures for how long the hub did not come to run a green thread that is always due.
final class GapWatch {
    private(set) var longest = Duration.zero
    private var ticker: Greenlet<Void>?

    init() {
        ticker = spawn { [self] in
            while true {
                let start = Deadline.now
                try Greenlet.sleep(for: .milliseconds(1))
                longest = max(longest, .now - start)
            }
        }
    }

    func end() { ticker?.kill() }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
