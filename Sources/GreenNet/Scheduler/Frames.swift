internal import CDiagnostics

/// Frames of green threads, as return addresses.
enum Frames {
    /// The frames of `thread`, a suspended green thread of this OS thread, innermost first.
    static func of(_ thread: GreenThread) -> [UnsafeMutableRawPointer] {
        var frames = [UnsafeMutableRawPointer?](repeating: nil, count: 64)
        let count = green_backtrace(thread.record, &frames, Int32(frames.count))
        return frames[..<Int(count)].compactMap { $0 }
    }

    /// The function that `address` lies in, or else the file, and how far in; nil where it is in none.
    static func place(of address: UnsafeMutableRawPointer) -> (symbol: String?, file: String, offset: Int)? {
        var place = green_place()
        guard green_place_of(address, &place) != 0 else { return nil }
        let symbol = withUnsafeBytes(of: &place.symbol) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return (symbol.isEmpty ? nil : symbol, String(cString: place.file), place.offset)
    }
}
