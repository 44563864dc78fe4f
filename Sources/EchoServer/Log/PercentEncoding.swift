/// Encodes bytes as in an URL, so that no format has to escape them again; spaces stay spaces.
func percentEncoded(_ bytes: some Sequence<UInt8>) -> String {
    bytes.reduce(into: "") { text, byte in
        if (0x20..<0x7f).contains(byte), !#"%"\"#.utf8.contains(byte) {
            text.unicodeScalars.append(Unicode.Scalar(byte))
        } else {
            text += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }
    }
}
