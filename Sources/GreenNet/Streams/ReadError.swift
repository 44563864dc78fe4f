/// Why a reader could not give what was asked for, though its stream has not failed.  What has come stays in the reader.
public enum ReadError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The stream has ended after `received` bytes.  `wanted` is how many there should have been; nil where it was their end, a delimiter, that did not come.
    case endOfStream(received: Int, wanted: Int?)
    /// What was asked for takes more than `limit` bytes.
    case tooLong(limit: Int)

    /// As in `the stream ended after 3 of 8 bytes`, or `more than 65536 bytes came without the delimiter`.
    public var description: String {
        switch self {
        case .endOfStream(let received, let wanted?): "the stream ended after \(received) of \(wanted) bytes"
        case .endOfStream(let received, nil): "the stream ended after \(received) bytes, before the delimiter"
        case .tooLong(let limit): "longer than \(limit) bytes"
        }
    }
}
