import Glibc
import TestSupport

/// The resources of a server at one moment of a soak.
struct SoakSample {
    let seconds: Double
    /// Resident bytes by process; shared memory counts in each process.
    let memory: [pid_t: Int]
    /// Bytes of all processes together; shared memory counts once.
    let proportional: Int
    let descriptors: Int
    let threads: Int
    let children: Int
    let greenThreads: Int
    let cachedStacks: Int
    let open: Int
    let accepted: Int
    /// The number of ended connections, by the way in which they ended.
    let ended: [String: Int]

    init(_ server: Server, _ admin: Admin, seconds: Double) throws {
        self.seconds = seconds
        // The output may be more than a pipe holds.
        server.program.standardError.collect()
        let processes = try server.program.processes()
        let states = processes.compactMap { pid in ProcessStatus(pid).map { (pid, $0) } }
        memory = Dictionary(uniqueKeysWithValues: states.map { ($0, $1.residentMemory) })
        proportional = processes.compactMap { SoakSample.proportionalMemory(of: $0) }.reduce(0, +)
        descriptors = states.map(\.1.descriptors).reduce(0, +)
        threads = states.map(\.1.threads).reduce(0, +)
        children = states.count - 1
        let metrics = try admin.metrics()
        func sum(_ name: String) -> Int { Int(metrics.filter { $0.key.hasPrefix(name) }.values.reduce(0, +)) }
        greenThreads = sum("echo_server_green_threads")
        cachedStacks = sum("echo_server_stacks_cached")
        open = sum("echo_server_connections{state=\"open\"}")
        accepted = sum("echo_server_accepted_total")
        let endings = metrics.filter { $0.key.hasPrefix("echo_server_ended_total") }
        ended = Dictionary(
            uniqueKeysWithValues: endings.map { (String($0.key.split(separator: "\"")[1]), Int($0.value)) })
    }

    /// Nil if the process has ended.
    private static func proportionalMemory(of pid: pid_t) -> Int? {
        let lines = ProcessStatus.contents(of: "/proc/\(pid)/smaps_rollup")?.split(separator: "\n") ?? []
        let words = lines.first { $0.hasPrefix("Pss:") }?.split(separator: " ") ?? []
        return words.count > 1 ? Int(words[1]).map { $0 << 10 } : nil
    }

    /// Green threads that live, and stacks for more.
    var stacks: Int { greenThreads + cachedStacks }
    var endedInAll: Int { ended.values.reduce(0, +) }
}
