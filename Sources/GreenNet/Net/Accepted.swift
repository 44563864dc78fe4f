/// A socket that was accepted and has no connection yet: whoever takes it makes one, in whatever context it is to live.
/// Dropped, it closes.
package struct Accepted: ~Copyable {
    package let descriptor: OwnedDescriptor
    package let peer: SocketAddress

    /// Hands the descriptor over; it is the caller's to close now.
    package consuming func releaseDescriptor() -> Int32 { descriptor.release() }
}

/// A descriptor that is closed when its owner goes, unless it was handed over.
package struct OwnedDescriptor: ~Copyable {
    package let number: Int32

    init(_ number: Int32) { self.number = number }

    deinit { SystemCalls.close(number) }

    /// The number is the caller's to close now.
    consuming func release() -> Int32 {
        let number = number
        discard self
        return number
    }
}
