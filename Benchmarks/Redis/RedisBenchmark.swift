import Glibc
import GreenNet

/// Compares the Redis client of the examples with redis-benchmark, on a server of its own: `make bench-redis`.
///
/// Both send GET of a key of three bytes, over the same number of connections, from one OS thread, to the same server, by turns.
@main struct RedisBenchmark {
    static let connections = 50
    static let port: UInt16 = 36_379

    static func main() throws {
        let rounds = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 5
        let server = ["--port", "\(port)", "--save", "", "--appendonly", "no", "--loglevel", "warning"]
        let options = ChildProcess.Options(output: .inherited, signalAtStartersEnd: SIGTERM)
        try withChild("redis-server", server, options: options) { _ in
            try waitForServer()
            print(
                "| pipelined | redis-benchmark, requests/s | RedisClient, requests/s | ratio |\n| ---: | ---: | ---: | ---: |"
            )
            for (depth, requests) in [(1, 200_000), (16, 2_000_000)] { try compare(depth, requests, rounds) }
        }
    }

    private static func waitForServer() throws {
        let limit = Deadline.after(.seconds(10))
        while true {
            do {
                _ = try Redis(connect()).call("SET", "key:1", "xyz")
                return
            } catch {
                if limit.hasPassed { throw error }
                try Greenlet.sleep(for: .milliseconds(20))
            }
        }
    }

    private static func compare(_ depth: Int, _ requests: Int, _ rounds: Int) throws {
        var pairs: [(peer: Double, own: Double)] = []
        for round in 0..<rounds {
            // Another one first in each round.
            if round % 2 == 0 {
                let peer = try peerRate(depth, requests)
                pairs.append((peer, try ownRate(depth, requests)))
            } else {
                let own = try ownRate(depth, requests)
                pairs.append((try peerRate(depth, requests), own))
            }
        }
        let ratios = pairs.map { $0.own / $0.peer }.sorted()
        let (peer, own) = (median(pairs.map(\.peer)), median(pairs.map(\.own)))
        let range = "\(rounded(ratios[0])) to \(rounded(ratios[ratios.count - 1]))"
        print("| \(depth) | \(Int(peer)) | \(Int(own)) | \(rounded(median(ratios))) (\(range)) |")
    }

    private static func peerRate(_ depth: Int, _ requests: Int) throws -> Double {
        let arguments = "-p \(port) -c \(connections) -n \(requests) -P \(depth) --csv GET key:1"
        let result = try ChildProcess.run("redis-benchmark", arguments.split(separator: " ").map(String.init))
        // "test","rps",... and below that the values.
        let lines = String(decoding: result.output, as: UTF8.self).split(separator: "\n")
        let rate = lines.last?.split(separator: ",").dropFirst().first.flatMap { Double($0.filter { $0 != "\"" }) }
        guard let rate else { fatalError("redis-benchmark: \(lines)") }
        return rate
    }

    private static func ownRate(_ depth: Int, _ requests: Int) throws -> Double {
        let clients = try (0..<connections).map { _ in try Redis(connect()) }
        let commands = Array(repeating: ["GET", "key:1"], count: depth)
        let expected = Array(repeating: Redis.Reply.bytes(Array("xyz".utf8)), count: depth)
        let turns = requests / connections / depth
        let start = Deadline.now
        try withGreenGroup { group in
            for client in clients {
                group.spawn {
                    for _ in 0..<turns where try client.call(commands) != expected { fatalError("another reply") }
                }
            }
        }
        return Double(turns * connections * depth) / ((Deadline.now - start) / .seconds(1))
    }

    private static func connect() throws -> Connection {
        try Connection.connect(to: .loopback(port: port), until: .after(.seconds(5)))
    }

    private static func median(_ numbers: [Double]) -> Double { numbers.sorted()[numbers.count / 2] }

    private static func rounded(_ ratio: Double) -> Double { (ratio * 100).rounded() / 100 }
}
