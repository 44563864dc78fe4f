/// Where time is spent: our own code by what it does, the rest by the file that it lies in.
enum ProfilePlace: String, CaseIterable {
    case kernel = "the kernel"
    case libc
    case libev
    case scheduler = "callback and scheduler"
    case theSwitch = "the switch"
    case connection = "Connection: receive and send"
    case handler = "the handler and upper case"
    case rest = "the rest of the program"

    init(object: String, symbol: String) {
        self =
            if object.contains("kernel") {
                .kernel
            } else if object == "[vdso]" || object.hasPrefix("libc") {
                .libc
            } else if object.hasPrefix("libev") {
                .libev
            } else {
                ProfilePlace.ours.last { place in place.names.contains { symbol.contains($0) } }?.place ?? .rest
            }
    }

    /// Parts of mangled names.  A later row wins.
    private static let ours: [(names: [String], place: ProfilePlace)] = [
        (["green_switch"], .theSwitch), (["becameReadable", "schedule", "switchToNext", "runOthers"], .scheduler),
        (["Connection", "Socket"], .connection), (["Handler", "ascii_uppercase"], .handler),
    ]

    /// From `perf report -F overhead,dso,symbol`: what part of all samples fell on each place.
    static func shares(in report: String) -> [ProfilePlace: Double] {
        var shares: [ProfilePlace: Double] = [:]
        for line in report.lines {
            let words = String(line).words
            guard words.count >= 4, words[0].hasSuffix("%"), let percent = Double(words[0].dropLast()) else { continue }
            // After the file comes `[.]` or `[k]`.
            shares[ProfilePlace(object: words[1], symbol: words[3]), default: 0] += percent / 100
        }
        return shares
    }
}
