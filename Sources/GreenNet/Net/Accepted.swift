/// A socket that was accepted and has no connection yet: whoever takes it makes one, in whatever context it is to live.
/// Dropped, it closes.
package struct Accepted: ~Copyable {
    package let descriptor: OwnedDescriptor
    package let peer: SocketAddress

    /// Hands the descriptor over; it is the caller's to close now.
    package consuming func releaseDescriptor() -> Int32 { descriptor.release() }
}
