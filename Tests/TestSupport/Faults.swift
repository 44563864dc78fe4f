import Glibc
import GreenNet
import Synchronization

/// Makes C library calls of a program and its children fail, or move fewer bytes than they could.  May be changed while the programs run.
///
/// A library that is preloaded into the program (Tests/CFaultShim) maps the same memory, and counts the calls in it.
package final class Faults: @unchecked Sendable {
    // Unchecked: everything behind the pointer is atomic, save the names, which are not written later.
    private let records: UnsafeMutablePointer<Record>
    private let path: String

    /// The calls by their names in C.
    package enum Call: String, CaseIterable, Sendable {
        case accept4, bind, close, connect, eventfd, fcntl, fork, getpeername, getsockname, getsockopt, ioctl, listen,
            madvise, mmap, mprotect, open, opendir, pipe, poll, ppoll, pselect, pwritev2, read, recv, send, sendmsg,
            sendto,
            setsockopt, shutdown, socket, unlink, waitpid, write
        case closeRange = "close_range"
        case epollCreate = "epoll_create"
        case epollCreate1 = "epoll_create1"
        case epollControl = "epoll_ctl"
        case epollWait = "epoll_wait"
        /// Counts uses of the server's lock of its limits.  The process gets `error` as a signal, while it holds the lock.
        case lockHeld = "green_lock_held"
        case threadCreate = "pthread_create"
        case timerCreate = "timerfd_create"

        fileprivate var index: Int { Call.allCases.firstIndex(of: self)! }
    }

    /// The library's layout of a record.
    private struct Record: ~Copyable {
        var name: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        let made = Atomic<Int32>(0)
        let first = Atomic<Int32>(0)
        let last = Atomic<Int32>(0)
        let every = Atomic<Int32>(1)
        let error = Atomic<Int32>(0)
        let largest = Atomic<Int32>(0)
        let known = Atomic<Int32>(0)
        let unused = Atomic<Int32>(0)
    }

    private static let size = Call.allCases.count * MemoryLayout<Record>.stride

    package init() throws {
        path = "/tmp/greennet-faults-\(UInt64.random(in: 0 ... .max))"
        let file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if file < 0 { throw ProgramFailure(text: "\(path): \(SystemError(errno))") }
        defer { close(file) }
        let isLong = ftruncate(file, Faults.size) == 0
        let memory = mmap(nil, Faults.size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
        guard isLong, let memory, memory != MAP_FAILED else {
            throw ProgramFailure(text: "mmap: \(SystemError(errno))")
        }
        records = memory.bindMemory(to: Record.self, capacity: Call.allCases.count)
        for call in Call.allCases {
            (records + call.index).initialize(to: Record())
            withUnsafeMutableBytes(of: &records[call.index].name) { $0.copyBytes(from: call.rawValue.utf8) }
        }
    }

    deinit {
        munmap(records, Faults.size)
        unlink(path)
    }

    /// Makes the program load the library.
    package func preload(_ launch: inout Program.Launch) {
        launch.environment["LD_PRELOAD"] = "\(Program.productsDirectory)/libFaultShim.so"
        launch.environment["FAULT_SHIM"] = path
    }

    /// From now on, each `every`th of the calls with these numbers fails with `error`.  Calls are counted from 1, over all processes.
    package func fail(_ call: Call, _ numbers: ClosedRange<Int>, every: Int = 1, with error: Int32) {
        let record = records + call.index
        record.pointee.first.store(0, ordering: .sequentiallyConsistent)
        record.pointee.error.store(error, ordering: .sequentiallyConsistent)
        record.pointee.every.store(Int32(every), ordering: .sequentiallyConsistent)
        record.pointee.last.store(Int32(clamping: numbers.upperBound), ordering: .sequentiallyConsistent)
        record.pointee.first.store(Int32(numbers.lowerBound), ordering: .sequentiallyConsistent)
    }

    /// From now on, all calls fail with `error`, until the next change.
    package func failAll(_ call: Call, with error: Int32) { fail(call, 1...Int(Int32.max), with: error) }

    /// The next `times` calls fail with `error`.
    package func failNext(_ call: Call, _ times: Int, with error: Int32) {
        fail(call, made(call) + 1...made(call) + times, with: error)
    }

    package func stopFailing(_ call: Call) { records[call.index].first.store(0, ordering: .sequentiallyConsistent) }

    /// While `body` runs, all these calls fail.
    package func failing<R>(_ calls: [Call], with error: Int32, _ body: () throws -> R) rethrows -> R {
        for call in calls { failAll(call, with: error) }
        defer { for call in calls { stopFailing(call) } }
        return try body()
    }

    /// The most bytes that a read or write moves from now on.
    package enum Length: Sendable {
        case atMost(Int)
        /// A random number, between one byte and all.
        case random
    }

    package func limit(_ call: Call, to length: Length) {
        let largest: Int32 = if case .atMost(let count) = length { Int32(clamping: count) } else { -1 }
        records[call.index].largest.store(largest, ordering: .sequentiallyConsistent)
    }

    /// The number of calls so far.
    package func made(_ call: Call) -> Int { Int(records[call.index].made.load(ordering: .sequentiallyConsistent)) }

    /// Whether the library that a program has loaded replaces this call.
    package func isKnown(_ call: Call) -> Bool {
        records[call.index].known.load(ordering: .sequentiallyConsistent) != 0
    }
}
