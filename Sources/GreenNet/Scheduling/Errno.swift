/// An error number of the system, shown by its name, such as `ECONNRESET`.
public struct Errno: Error, Hashable, Sendable, CustomStringConvertible {
    /// The number as the C library has it.
    public let code: Int32

    /// Wraps a number as the C library has it.
    public init(_ code: Int32) { self.code = code }

    /// The symbolic name, or `errno 1234` for a number that has none.
    public var description: String {
        GNU.errnoName(code) ?? "errno \(code)"
    }
}
