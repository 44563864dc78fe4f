// Compares GreenPatch with what it stands in for, in turns, nine rounds of each: the least of each, and the median of the ratios of the rounds.
//
//     PatchBenchmarks gate                          # a mutex through the patched names, and straight to the C library, off the hub
//     PatchBenchmarks ping-pong                     # read and write on two green threads, and on two OS threads
//     PatchBenchmarks curl [PYTHON]                 # libcurl's easy interface on green threads, its multi interface in C, and gevent

internal import CLibraries
internal import CPatchBenchmarks
import Glibc
import GreenNet
import GreenPatch

@main struct PatchBenchmarks {
    static func main() throws {
        let words = Array(CommandLine.arguments.dropFirst())
        switch words.first {
        case "gate": compare("ns of a lock and an unlock", [patchedMutex, directMutex])
        case "ping-pong":
            _ = Hub.current
            try GreenPatch.install()
            compare("ns of a round", [greenPingPong, threadPingPong])
        case "curl": try withServer { try compareCurl($0, python: words.dropFirst().first) }
        default:
            print("PatchBenchmarks gate | ping-pong | curl [PYTHON]")
            exit(64)
        }
    }

    struct Contender: Sendable {
        let name: String
        let measure: @Sendable () -> Double
    }

    /// Prints the figures of each contender, and the first one's ratio to each of the others.
    static func compare(_ unit: String, _ contenders: [Contender]) {
        var samples = contenders.map { _ in [Double]() }
        for _ in 0..<9 {
            for (index, contender) in contenders.enumerated() { samples[index].append(contender.measure()) }
        }
        for (index, contender) in contenders.enumerated() {
            let ratios = zip(samples[0], samples[index]).map { $0 / $1 }.sorted()
            let figures = [samples[index].min()!, samples[index].sorted()[4], ratios[4]].map { text($0) }
            print("\(contender.name): least \(figures[0]), median \(figures[1]) \(unit); first to this \(figures[2])")
        }
    }

    private static func text(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }

    // MARK: Contenders

    static let patchedMutex = Contender(name: "patched") { bench_mutex_patched(20_000_000) }
    static let directMutex = Contender(name: "direct") { bench_mutex_direct(20_000_000) }

    static let threadPingPong = Contender(name: "two OS threads") { bench_ping_pong(50_000) }

    static let greenPingPong = Contender(name: "two green threads") {
        let rounds = 50_000
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else { fatalError("no socket pair") }
        let (one, other) = (ends[0], ends[1])
        let start = Deadline.now
        let echo = spawn { for _ in 0..<rounds { exchange(other, readsFirst: true) } }
        let ping = spawn { for _ in 0..<rounds { exchange(one, readsFirst: false) } }
        try! joinAll([echo, ping])
        close(one)
        close(other)
        return (Deadline.now - start).nanosecondsAsDouble / Double(rounds)
    }

    private static func exchange(_ socket: Int32, readsFirst: Bool) {
        var byte: UInt8 = 1
        if readsFirst {
            _ = read(socket, &byte, 1)
            _ = write(socket, &byte, 1)
        } else {
            _ = write(socket, &byte, 1)
            _ = read(socket, &byte, 1)
        }
    }

    static let (requests, width) = (10_000, 50)

    /// Gives `body` the address of an HTTP server in a process of its own, which lies beside this program.
    private static func withServer(_ body: (String) throws -> Void) throws {
        let path = "\(CommandLine.arguments[0].dropLast("PatchBenchmarks".count))PatchedProgram"
        try withChild(path, ["--http-server"]) { server in
            defer { server.send(SIGKILL) }
            var line: [UInt8] = []
            while line.last != UInt8(ascii: "\n"), let bytes = try server.output.receive() { line += bytes }
            try body(String(decoding: line.dropLast().dropFirst("listening on ".count), as: UTF8.self))
        }
    }

    static func compareCurl(_ address: String, python: String?) throws {
        var answer = library_answer()
        guard library_load_curl(&answer) == 0 else { fatalError("no libcurl") }
        _ = Hub.current
        try GreenPatch.install()
        let url = "http://\(address)/0"
        let green = Contender(name: "libcurl on green threads") {
            processorTime {
                let callers = (0..<width).map { _ in
                    spawn {
                        let handle = library_curl_handle(url)
                        var answer = library_answer()
                        for _ in 0..<requests / width { library_curl_again(handle, &answer) }
                        library_curl_end(handle)
                        if answer.has_failed != 0 { fatalError("a transfer failed") }
                    }
                }
                try! joinAll(callers)
            }
        }
        let multi = Contender(name: "libcurl's multi interface in C") {
            processorTime {
                if bench_curl_multi(url, Int32(requests), Int32(width)) != 0 { fatalError("a transfer failed") }
            }
        }
        var contenders = [green, multi]
        if let python { contenders.append(gevent(python, address)) }
        compare("us of processor time for a request", contenders)
    }

    private static func gevent(_ python: String, _ address: String) -> Contender {
        let parts = address.split(separator: ":").map(String.init)
        return Contender(name: "gevent with http.client") {
            let command = "\(python) Benchmarks/Patch/http_client.py \(parts[0]) \(parts[1]) \(requests)"
            let stream = popen(command, "r")
            defer { pclose(stream) }
            var line = [CChar](repeating: 0, count: 64)
            fgets(&line, 64, stream)
            return strtod(line, nil)
        }
    }

    /// Microseconds of the process for each request.
    private static func processorTime(_ body: () -> Void) -> Double {
        let before = processorNanoseconds()
        body()
        return (processorNanoseconds() - before) / 1000 / Double(requests)
    }

    private static func processorNanoseconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }
}

extension Duration {
    fileprivate var nanosecondsAsDouble: Double {
        Double(components.seconds) * 1e9 + Double(components.attoseconds) / 1e9
    }
}
