import ArgumentParser
import GreenNet

/// `--take-over`, as it is given.
struct TakeOverOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Take the listeners of the instance that serves with this path, which then drains; and give them to the next (default: none).",
            valueName: "path"))
    var takeOver: String?

    /// The options that were given, by their names.
    var given: [String: String?] { ["take-over": takeOver] }
}

extension Settings {
    static let takeOverSetting = Setting(
        "take-over", \.takeOver, "the path of a unix socket, 1 to \(SocketAddress.longestUnixPath) bytes",
        parse: { (try? Endpoint.unixPath(parsing: $0)).map { .some($0) } ?? .none }, show: { $0 ?? "none" })
}
