import Glibc
import ProgramKit

/// What a measurement was made on.
enum Machine {
    static let processors = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))

    static var facts: [(name: String, value: String)] {
        var names = utsname()
        uname(&names)
        let kernel = withUnsafeBytes(of: &names.release) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        let model = (SmallFile.text(of: "/proc/cpuinfo") ?? "").split(separator: "\n")
            .first { $0.hasPrefix("model name") }?.split(separator: ":").last.map { $0.drop { $0 == " " } }
        let memory = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
        return [
            ("processors", "\(processors)"), ("processor", model.map(String.init) ?? "unknown"),
            ("memory", shortBytes(Double(memory))), ("kernel", "Linux \(kernel)"),
        ]
    }

    /// In one line.
    static var description: String {
        let facts = Dictionary(uniqueKeysWithValues: facts.map { ($0.name, $0.value) })
        return "\(facts["processors"]!) processors (\(facts["processor"]!)), \(facts["memory"]!), \(facts["kernel"]!)"
    }
}
