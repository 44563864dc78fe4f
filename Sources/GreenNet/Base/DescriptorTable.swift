/// Raw memory by the number of a descriptor.  Has no entries at first, and grows to the highest number that was set.
struct DescriptorTable {
    private var entries = UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>(start: nil, count: 0)

    /// Nil where nothing was set.  The number must not be negative.
    subscript(descriptor: Int32) -> UnsafeMutableRawPointer? {
        get { Int(descriptor) < entries.count ? entries[Int(descriptor)] : nil }
        set {
            if Int(descriptor) >= entries.count { grow(to: Int(descriptor) + 1) }
            entries[Int(descriptor)] = newValue
        }
    }

    private mutating func grow(to count: Int) {
        let larger = UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>.allocate(
            capacity: max(count, 2 * entries.count, 64))
        larger.initialize(repeating: nil)
        for (index, entry) in entries.enumerated() { larger[index] = entry }
        entries.deallocate()
        entries = larger
    }

    /// Frees the entries, which must have been allocated as raw memory, and the table.
    func free() {
        for entry in entries { entry?.deallocate() }
        entries.deallocate()
    }
}
