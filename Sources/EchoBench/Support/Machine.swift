import Glibc
import ProgramKit

/// What a benchmark runs on.
enum Machine {
    static var processors: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    static var kernelRelease: String {
        var names = utsname()
        uname(&names)
        return withUnsafeBytes(of: &names.release) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    /// As in `AMD EPYC, Linux 6.18`.
    static var description: String {
        let model = (SmallFile.text(of: "/proc/cpuinfo") ?? "").lines.first { $0.hasPrefix("model name") }
        let name = model?.split(separator: ":").last.map { String($0.drop { $0 == " " }) } ?? "unknown processor"
        return "\(name), Linux \(kernelRelease)"
    }

    /// A setting below /proc/sys.
    static func setting(_ name: String) -> String? {
        SmallFile.text(of: "/proc/sys/\(name)").map { $0.words.joined(separator: " ") }
    }

    static func number(_ setting: String) -> Int? { self.setting(setting).flatMap { Int($0) } }
}
