import Glibc

/// Names of places in the program's code.
enum Symbol {
    /// As in `Chat.serve(_: Connection) throws -> () + 120`; of a program that doesn't export its symbols, as in `chat + 0x4fe2`.
    static func name(_ address: UnsafeMutableRawPointer) -> String {
        guard let place = Frames.place(of: address) else { return "\(address)" }
        if let symbol = place.symbol { return "\(demangled(symbol)) + \(place.offset)" }
        return "\(place.file.split(separator: "/").last ?? "") + 0x\(String(place.offset, radix: 16))"
    }

    private static func demangled(_ symbol: String) -> String {
        guard let readable = swiftDemangle(symbol, symbol.utf8.count, nil, nil, 0) else { return symbol }
        defer { free(readable) }
        return String(cString: readable)
    }
}

/// The runtime's own.  What it returns is the caller's to free; nil for what is not Swift's.
@_silgen_name("swift_demangle")
private func swiftDemangle(
    _ symbol: UnsafePointer<CChar>, _ length: Int, _ buffer: UnsafeMutablePointer<CChar>?,
    _ bufferSize: UnsafeMutablePointer<Int>?, _ flags: UInt32
) -> UnsafeMutablePointer<CChar>?
