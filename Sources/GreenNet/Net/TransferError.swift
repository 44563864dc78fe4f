/// A `splice` or a `sendFile` that did not come to its end: on which side, how far it came, and why.
public struct TransferError: Error, Hashable, Sendable {
    /// Where bytes come from, and where they go.
    public enum Side: Hashable, Sendable {
        /// The side that bytes come from: a connection or a file.
        case source
        /// The connection that they go to.
        case sink
    }

    /// The side of which a call has failed.
    public let side: Side
    /// How many bytes the sink's kernel has taken by then.
    public let transferred: Int
    /// How many more were received from the source, and are lost: they were on their way when the sink failed, or the call was ended.
    public let lost: Int
    /// The call, how it ended, and with whom.
    public let error: NetError
}

extension TransferError: WaitEnding {
    package var waitError: WaitError? { error.waitError }
    /// Whether time ended it.
    public var isTimeout: Bool { error.isTimeout }
    /// Whether a kill of the green thread, or the failure of its group, ended it.
    public var isCancellation: Bool { error.isCancellation }
    /// Whether one of the connections was closed by this side.
    public var isClosed: Bool { error.waitError == .closed }
    /// Whether the side that has failed is gone: an end that is no fault of this side.
    public var isPeerGone: Bool { error.isPeerGone }
}

extension TransferError: CustomStringConvertible {
    /// As in `cannot send to 127.0.0.1:4242: broken pipe (EPIPE), after 65536 bytes and with 4096 lost`.
    public var description: String { "\(error), after \(transferred) bytes\(lost > 0 ? " and with \(lost) lost" : "")" }
}
