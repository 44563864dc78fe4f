/// A descriptor that cannot be what was asked for, and why: `descriptor 5 is not a socket`.
public struct DescriptorError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The number as it was given.
    public let descriptor: Int32
    /// What is wrong with it.
    public let problem: InheritedSocket.Problem

    /// As in `descriptor 5 is not a socket`.
    public var description: String { "descriptor \(descriptor) \(problem)" }
}

extension Connection {
    /// Takes over an open descriptor of a connected stream socket that another library has made, for use on this hub.
    ///
    /// The connection owns it from now on: it is non-blocking, closed on exec, and closed by `close()` or with the last reference.  `peer` is what the kernel says.
    /// Options that this library sets on its own connections are set, such as TCP_NODELAY.
    ///
    /// Throws `DescriptorError` where it is not open, no socket, no stream socket, one that listens, or not connected; the descriptor stays the caller's then,
    /// as it was.  Never waits.
    public convenience init(adopting descriptor: Int32) throws(DescriptorError) {
        do throws(InheritedSocket.Problem) {
            self.init(descriptor: descriptor, peer: try InheritedSocket.adopt(descriptor))
        } catch {
            throw DescriptorError(descriptor: descriptor, problem: error)
        }
    }
}
