import Glibc
import TestSupport

/// What a program and its children have together.
struct ProcessTree: Sendable {
    let root: ProcessStatus
    /// Those that have not ended.
    let children: [ProcessStatus]

    private var all: [ProcessStatus] { [root] + children }

    var threads: Int { sum(\.threads) }
    var descriptors: Int { sum(\.descriptors) }
    var residentMemory: Int { sum(\.residentMemory) }
    /// Of the one that had most.
    var peakResidentMemory: Int { all.map(\.peakResidentMemory).max()! }
    var processorTime: Duration { all.map(\.processorTime).reduce(.zero, +) }

    private func sum(_ part: (ProcessStatus) -> Int) -> Int { all.map(part).reduce(0, +) }
}

extension ProcessTree: CustomStringConvertible {
    var description: String {
        let descriptors = all.map { $0.descriptorTargets.sorted().joined(separator: ", ") }.joined(separator: " / ")
        return "\(threads) threads, \(children.count) children, \(descriptors)"
    }
}

extension ProcessStatus {
    /// Each hub has one, which is made last; or where it could not be had, both ends of a pipe.
    var hubs: Int {
        let pipes = Dictionary(grouping: descriptorTargets.filter { $0.hasPrefix("pipe:") }) { $0 }
        return descriptorTargets.count { $0 == "anon_inode:[eventfd]" } + pipes.values.count { $0.count == 2 }
    }
}

extension Program {
    /// What the kernel tells of it and its children now.  Throws where it has ended.
    func tree() throws -> ProcessTree {
        let root = try status()
        return ProcessTree(root: root, children: root.children.compactMap { ProcessStatus($0) })
    }

    /// Its own id, and those of its children.
    func processes() throws -> [pid_t] { try [pid] + status().children }
}
