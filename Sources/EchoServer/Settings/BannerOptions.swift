import ArgumentParser
import GreenNet

/// The option of the banner.
struct BannerOptions: ParsableArguments {
    @Option(
        defaultAsFlag: Banner.standard,
        // By the other strategy, swift-argument-parser 1.8.2 drops the value of `--banner=x` where another option follows.
        parsing: .next,
        help: ArgumentHelp(
            "Send a line first, with \(Banner.placeNames) filled in; without a value: \(Banner.standard) (default: no line).",
            valueName: "template"))
    var banner: String?

    /// The options that were given, by their names.
    var given: [String: String?] { ["banner": banner] }

    static let all: [Setting] = [
        Setting(
            "banner", \.banner, Banner.rule, parse: { Banner($0).map { .some($0) } ?? .none },
            reason: Banner.complaint, show: { $0?.template ?? "none" })
    ]
}
