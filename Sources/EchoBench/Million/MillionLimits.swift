import ProgramKit

/// How many green threads and connections the machine can bear, and why.
struct MillionLimits {
    private(set) var threads: Int
    private(set) var connections: Int
    /// Connections that one process has on each side.
    private(set) var places: Int
    /// Connections from one address.
    private(set) var portsPerSource = 10_000
    /// A line for each fact and each reason.
    private(set) var notes: [String] = []
    private let reserve: Int

    /// In KiB, generously: a green thread; a connection with both its ends, the kernel's part included.
    private static let (threadCost, connectionCost) = (5, 15)
    /// A process of the server or of the client, in MiB.
    private static let processCost = 8
    private static let descriptorSlack = 400

    /// Begins with the descriptors.  Throws where a process may have too few.
    init(_ wanted: Int, reserve: Int) throws {
        (threads, connections, self.reserve) = (wanted, wanted, reserve)
        let limit = min(DescriptorLimit.raise(), Machine.number("fs/nr_open") ?? .max)
        // The kernel spreads by a hash of the addresses: some processes get more than others.
        places = (limit - MillionLimits.descriptorSlack) * 94 / 100
        guard places >= 100 else { throw BenchFailure("\(limit) descriptors a process are too few") }
        note("descriptors a process", "\(limit)", "fs.nr_open \(Machine.number("fs/nr_open") ?? 0)")
        let files = (Machine.setting("fs/file-nr") ?? "").words.compactMap { Int($0) }
        guard files.count == 3 else { return }
        let left = files[2] - files[0] - 10_000
        note("descriptors of the whole machine", "\(left) left", "fs.file-max")
        scale(\.connections, "connections", to: left / 2, "each takes two descriptors")
    }

    private mutating func note(_ name: String, _ value: String, _ comment: String? = nil) {
        notes.append("- \(name): \(value)" + (comment.map { " (\($0))" } ?? ""))
    }

    private mutating func scale(_ number: WritableKeyPath<Self, Int>, _ name: String, to most: Int, _ why: String) {
        guard self[keyPath: number] > most else { return }
        self[keyPath: number] = max(0, most)
        notes.append("- **\(name) scaled down to \(max(0, most))**: \(why)")
    }

    mutating func lookAtMappings() {
        guard let most = Machine.number("vm/max_map_count") else { return }
        note("vm.max_map_count", "\(most)")
        // Without guards by madvise each stack has two mappings.
        if !MillionLimits.hasGuardPages(Machine.kernelRelease) {
            scale(\.threads, "threads", to: most / 2 - 500, "before Linux 6.13 a guarded stack takes two mappings")
            places = min(places, most / 2 - 500)
        }
        if Machine.number("vm/overcommit_memory") == 2 {
            note("vm.overcommit_memory", "2", "address space is promised sparingly: green threads may find none")
        }
    }

    /// Since Linux 6.13.
    static func hasGuardPages(_ release: String) -> Bool {
        let numbers = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
        guard numbers.count == 2 else { return false }
        return (numbers[0], numbers[1]) >= (6, 13)
    }

    mutating func lookAtProcesses() {
        guard let limit = MillionLimits.processLimit(in: SmallFile.text(of: "/proc/self/limits") ?? "") else {
            return
        }
        scale(\.connections, "connections", to: (limit - 200) * places / 4, "only \(limit) processes are permitted")
    }

    /// The soft limit in /proc/self/limits; nil where there is none.
    static func processLimit(in text: String) -> Int? {
        let line = text.lines.first { $0.hasPrefix("Max processes") }
        return line.flatMap { String($0).words.dropFirst(2).first }.flatMap { Int($0) }
    }

    mutating func lookAtNetwork() {
        let range = (Machine.setting("net/ipv4/ip_local_port_range") ?? "").words.compactMap { Int($0) }
        let (low, high) = (range.first ?? 32768, range.last ?? 60999)
        let queues = "ports \(low) to \(high), listeners' queues of \(Machine.number("net/core/somaxconn") ?? 0)"
        if MillionNetwork.isOwn {
            note("network", "a namespace of its own", queues)
        } else {
            note("network", "the machine's", "no right to make one of its own; \(queues)")
            // An address has fewer than this many ports, half of which are quickly found.
            portsPerSource = max(1, (high - low) / 3)
            if let tracked = Machine.number("net/netfilter/nf_conntrack_max") {
                scale(\.connections, "connections", to: tracked * 9 / 10, "net.netfilter.nf_conntrack_max")
            }
        }
        // It counts what is queued, and here nearly nothing ever is.
        note("net.ipv4.tcp_mem", "\(MillionNetwork.memoryPages) pages", "idle connections need none of it")
    }

    mutating func lookAtMemory() {
        let available = SystemMemory.available
        note("memory", "\(available) MiB available", "\(reserve) of them stay free")
        let free = available - reserve
        let (thread, connection) = (MillionLimits.threadCost, MillionLimits.connectionCost)
        scale(\.threads, "threads", to: free * 1024 / thread, "each takes \(thread) KiB")
        let processes = 2 * MillionLimits.processCost * (connections / places + 1)
        let why = "each takes \(connection) KiB, the kernel's part included"
        scale(\.connections, "connections", to: (free - processes) * 1024 / connection, why)
    }

    /// Of the server, and of the client.
    var processes: Int { (connections + places - 1) / places }

    /// As many addresses of the loopback as have ports for all.
    var sources: String {
        let count = (connections + portsPerSource - 1) / portsPerSource
        return (0..<count).map { "127.0.\($0 / 250).\($0 % 250 + 1)" }.joined(separator: ",")
    }
}

/// The memory of the whole machine.
enum SystemMemory {
    /// What can still be given to a process, in MiB.  MemAvailable takes a part of the slabs for reclaimable, which here are sockets.
    static var available: Int {
        let text = SmallFile.text(of: "/proc/meminfo") ?? ""
        return ["MemFree", "Active(file)", "Inactive(file)"].reduce(0) { $0 + (field($1, of: text) ?? 0) } / 1024
    }

    /// The kernel's own structures, of which sockets are made, in KiB.
    static var slabs: Int { field("Slab", of: SmallFile.text(of: "/proc/meminfo") ?? "") ?? 0 }
}
