import CourseKit
import CourseWeb
import GreenNet

/// What a site's robots.txt asks of all crawlers (RFC 9309).
struct Robots {
    private var rules: [(path: String, allows: Bool)] = []

    /// Where the site has none, all is allowed; where it does not tell, nothing.
    init(_ site: String, limit: Duration) throws {
        do {
            let page = try withTimeout(limit) { try Web.get("\(site)/robots.txt", longest: 500_000, redirects: 5) }
            switch page.status {
            case 200..<300: read(String(decoding: page.body, as: UTF8.self))
            case 400..<500: break
            default: rules = [("/", false)]
            }
        } catch {
            say("no robots.txt of \(site): \(error)")
            rules = [("/", false)]
        }
    }

    /// The longest rule that fits decides; of equal ones the one that allows.
    func allow(_ url: String) -> Bool {
        let path = url.dropFirst(Web.site(of: url).count)
        let fitting = rules.filter { Robots.fits(path.isEmpty ? "/" : path, $0.path) }
        return fitting.max { ($0.path.count, $0.allows ? 1 : 0) < ($1.path.count, $1.allows ? 1 : 0) }?.allows ?? true
    }

    private mutating func read(_ text: String) {
        var (concernsUs, isBeforeRules) = (false, false)
        for line in text.split(whereSeparator: \.isNewline) {
            let parts = line.prefix { $0 != "#" }.split(separator: ":", maxSplits: 1).map(\.trimmed)
            guard parts.count == 2 else { continue }
            switch parts[0].lowercased() {
            case "user-agent":
                // Several names one after the other have the rules below them in common.
                concernsUs = (isBeforeRules && concernsUs) || parts[1] == "*"
                isBeforeRules = true
            case "allow" where concernsUs, "disallow" where concernsUs:
                isBeforeRules = false
                // One without a path says nothing.
                if !parts[1].isEmpty { rules.append((parts[1], parts[0].lowercased() == "allow")) }
            default: isBeforeRules = false
            }
        }
    }
}

extension Robots {
    /// Whether a path begins as `pattern` says, in which `*` is any text, and a `$` at the end the end.
    static func fits(_ path: Substring, _ pattern: String) -> Bool {
        let isWhole = pattern.hasSuffix("$")
        let parts = (isWhole ? pattern.dropLast() : pattern[...]).split(
            separator: "*", omittingEmptySubsequences: false)
        guard path.hasPrefix(parts[0]) else { return false }
        var rest = path.dropFirst(parts[0].count)
        for part in parts.dropFirst() where !part.isEmpty {
            guard let found = rest.firstRange(of: part) else { return false }
            rest = rest[found.upperBound...]
        }
        return !isWhole || rest.isEmpty || (parts.count > 1 && path.hasSuffix(parts[parts.count - 1]))
    }
}

extension Substring {
    fileprivate var trimmed: String {
        var text = drop(while: \.isWhitespace)
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
