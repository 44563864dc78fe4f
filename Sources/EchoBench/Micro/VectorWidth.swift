import ProgramKit

/// The width in bits of the vectors that a program's uppercase uses on this processor.
enum VectorWidth {
    /// Nil where objdump is missing or finds none.
    static func ofUppercase(in program: String) -> Int? {
        guard Tool.isInstalled("objdump"),
            let code = try? Tool.run(["objdump", "-d", "--no-show-raw-insn", program]),
            let flags = (SmallFile.text(of: "/proc/cpuinfo") ?? "").lines
                .first(where: { $0.hasPrefix("flags") || $0.hasPrefix("Features") })
        else { return nil }
        return widest(in: code, flags: String(flags))
    }

    /// Of the disassembled functions with "uppercase" in their names, the widest vectors that a processor with `flags` has.
    static func widest(in code: String, flags: String) -> Int? {
        var (isInside, width) = (false, 0)
        for line in code.utf8.split(separator: UInt8(ascii: "\n")) {
            if (line.first.map { Character(UnicodeScalar($0)).isHexDigit }) == true {
                isInside = String(Substring(line)).lowercased().contains("uppercase")
            } else if isInside {
                width = max(width, bits(of: String(Substring(line)), flags))
            }
        }
        return width > 0 ? width : nil
    }

    private static func bits(of instruction: String, _ flags: String) -> Int {
        if instruction.contains("%zmm"), flags.contains("avx512bw") { return 512 }
        if instruction.contains("%ymm"), flags.contains("avx2") { return 256 }
        return instruction.contains("%xmm") || instruction.contains(".16b") ? 128 : 0
    }
}
