import Glibc
import TestSupport

/// The resources of a program and its children together.
struct ProcessTree: Sendable {
    let root: ProcessStatus
    /// The children that have not ended.
    let children: [ProcessStatus]

    private var all: [ProcessStatus] { [root] + children }

    var threads: Int { sum(\.threads) }
    var descriptors: Int { sum(\.descriptors) }
    var residentMemory: Int { sum(\.residentMemory) }
    /// The peak of the process that had most.
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
    /// Each hub has one eventfd, which it opens last; or, if there was none, both ends of a pipe.  A pool of OS threads has an eventfd too.
    var bells: Int { descriptorTargets.count { $0 == "anon_inode:[eventfd]" } + hubsWithPipe }

    /// The hubs that have both ends of a pipe: one descriptor more than others.
    var hubsWithPipe: Int {
        Dictionary(grouping: descriptorTargets.filter { $0.hasPrefix("pipe:") }) { $0 }.values.count { $0.count == 2 }
    }
}

extension Program {
    /// What the kernel shows of the program and its children now.  Throws if the program has ended.
    func tree() throws -> ProcessTree {
        let root = try status()
        return ProcessTree(root: root, children: root.children.compactMap { ProcessStatus($0) })
    }

    /// The ids of the program and its children.
    func processes() throws -> [pid_t] { try [pid] + status().children }
}
