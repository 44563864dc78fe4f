import Glibc

/// Standard error or the like, written to without ever waiting: what can't be taken at once is lost.  For logs.
///
/// Other programs share the descriptor, and would fail if it were made non-blocking.  So each write asks for itself not to wait, in the
/// way that this kind of file understands.  Any OS thread may write; up to `wholeBytes` come out in one piece.
package struct LossyOutput: Sendable {
    private let descriptor: Int32
    private let way: Way

    /// How a write is kept from waiting.
    enum Way {
        /// The disk is as fast as it is.
        case file
        case socket
        /// Pipes and devices: a flag of the call says so.  Terminals don't take the flag, nor do pipes before Linux 6.4; then
        case now
        /// the file is opened once more, for it is the opening that doesn't block.  Where that isn't granted,
        case openedAgain
        /// only what is ready is written to.  A pipe takes a line whole then, unless another writer was faster just now.
        case ifReady
    }

    /// What a pipe takes as a whole or not at all.
    package static let wholeBytes = 4096

    /// Leaves `descriptor` open, which may be closed already.
    package init(_ descriptor: Int32) {
        let way: Way =
            switch SystemCalls.kind(of: descriptor) {
            case S_IFREG: .file
            case S_IFSOCK: .socket
            default: .now
            }
        self.init(descriptor, way)
    }

    init(_ descriptor: Int32, _ way: Way) { (self.descriptor, self.way) = (descriptor, way) }

    /// More bytes than these may not come out in one piece, or not at all.  A file takes any number.
    package var mostAtOnce: Int { if case .file = way { .max } else { LossyOutput.wholeBytes } }

    /// Returns how many bytes were taken: all, fewer, or none.
    /// A pipe without a reader raises SIGPIPE, unless the process ignores that.
    package func write(_ bytes: UnsafeRawBufferPointer) -> Int { max(0, attempt(way, bytes)) }

    private func attempt(_ way: Way, _ bytes: UnsafeRawBufferPointer) -> Int {
        switch way {
        case .file: return SystemCalls.write(descriptor, bytes)
        case .socket: return SystemCalls.sendNow(descriptor, bytes)
        case .now:
            let count = SystemCalls.writeNow(descriptor, bytes)
            // EPERM comes from a sandbox that doesn't allow the call.
            return [EOPNOTSUPP, ENOSYS, EPERM].contains(Int32(-count)) ? attempt(.openedAgain, bytes) : count
        case .openedAgain: return writeOpenedAgain(bytes) ?? attempt(.ifReady, bytes)
        case .ifReady:
            let isReady = bytes.count <= LossyOutput.wholeBytes && SystemCalls.poll(descriptor, for: .writable) > 0
            return isReady ? SystemCalls.write(descriptor, bytes) : 0
        }
    }

    /// Nil where the system grants no opening.
    private func writeOpenedAgain(_ bytes: UnsafeRawBufferPointer) -> Int? {
        let own = Int32(SystemCalls.openAgainForWriting(descriptor))
        guard own >= 0 else { return nil }
        defer { SystemCalls.close(own) }
        return SystemCalls.write(own, bytes)
    }
}
