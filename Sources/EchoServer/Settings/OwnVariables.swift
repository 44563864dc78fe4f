import Glibc
import GreenNet

/// The environment variables that begin with `ECHO_SERVER_`.
enum OwnVariables {
    /// A variable that is no setting, and the variable that was probably meant.
    struct Unknown: Equatable {
        let name: String
        let nearest: String?
    }

    /// Finds typing errors in the names of variables, with which the server would start without the setting.
    static func unknown(in environment: [String] = names) -> [Unknown] {
        let known = (Settings.names + ["config"]).map(SettingSources.variable)
        return environment.filter { $0.hasPrefix(SettingSources.variablePrefix) && !known.contains($0) }.sorted()
            .map { Unknown(name: $0, nearest: nearest(to: $0, among: known)) }
    }

    /// The prefix, which all have, says nothing.
    private static func nearest(to name: String, among known: [String]) -> String? {
        let prefix = SettingSources.variablePrefix
        let names = known.map { String($0.dropFirst(prefix.count)) }
        return Spelling.nearest(to: String(name.dropFirst(prefix.count)), among: names).map { prefix + $0 }
    }

    private static var names: [String] {
        var (names, next) = ([String](), environ)
        while let variable = next.pointee {
            let bytes = UnsafeRawBufferPointer(start: variable, count: strlen(variable))
            names.append(String(showing: bytes.prefix { $0 != UInt8(ascii: "=") }))
            next += 1
        }
        return names
    }

    /// Throws for a variable that is not UTF-8, except for those that `options` override: repaired, the text could be another path.
    static func checkText(besides options: some Collection<String>) throws(StartFailure) {
        for name in Settings.names.sorted() + ["config"] where !options.contains(name) {
            let variable = SettingSources.variable(for: name)
            guard let value = getenv(variable) else { continue }
            let bytes = UnsafeRawBufferPointer(start: value, count: strlen(value))
            if String(utf8: bytes) == nil {
                throw StartFailure(.configuration, "\(variable): '\(String(showing: bytes))' is not UTF-8")
            }
        }
    }
}

extension OwnVariables.Unknown: CustomStringConvertible {
    var description: String { "unknown variable \(name)" + (nearest.map { "; did you mean \($0)?" } ?? "") }
}
