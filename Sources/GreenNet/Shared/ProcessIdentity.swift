internal import CLinux

/// A process, by its number, the time of its start and the program that it executes, so that a later process with the same number is another one, and so is the
/// program that a process has become by exec: it has none of the memory.  One word, which fits into shared memory.
struct ProcessIdentity: Equatable {
    /// 0 stands for none in shared memory; the highest bit is never set.
    let bits: UInt64

    /// The calling process.  System calls at the first time only.
    static var own: ProcessIdentity {
        @inline(__always) get { ProcessIdentity(bits: green_process_identity()) }
    }

    var pid: Int32 { green_process_of(bits) }

    /// Asks the kernel.  A process that has ended and was not waited for yet is not alive.
    var isAlive: Bool { self == .own || green_process_is_alive(bits) != 0 }
}
