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
