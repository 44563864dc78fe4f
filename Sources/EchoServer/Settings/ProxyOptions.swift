import ArgumentParser
import GreenNet
import ProgramKit

/// The options of the PROXY protocol.
struct ProxyOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Take the client's address from a header of the PROXY protocol: off, optional or required (default: off).",
            valueName: "way"), completion: .list(ProxySettings.Mode.allCases.map(\.rawValue)))
    var proxyProtocol: String?

    @Option(
        help: ArgumentHelp(
            "Addresses of the proxies whose headers are believed, such as 10.0.0.0/8,unix (default: \(AddressRanges.local)).",
            valueName: "ranges"))
    var proxyTrusted: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Close a connection whose header takes longer; 0: never (default: 3).", valueName: "seconds"))
    var proxyTimeout: String?

    /// The options that were given, by their names.
    var given: [String: String?] {
        ["proxy-protocol": proxyProtocol, "proxy-trusted": proxyTrusted, "proxy-timeout": proxyTimeout]
    }
}

/// Whether the service takes its clients' addresses from headers of the PROXY protocol, and from whom.
struct ProxySettings: Equatable, Sendable {
    enum Mode: String, CaseIterable, Sendable {
        /// What comes is the client's.
        case off
        /// A connection may begin with a header.
        case optional
        /// A connection without a header is closed.
        case required
    }

    var mode = Mode.off
    var trusted = AddressRanges.local

    /// The proxies that speak for their clients; nil where none does.
    var proxies: AddressRanges? { mode == .off ? nil : trusted }

    static let all: [Setting] = [
        Setting(
            "proxy-protocol", \.proxy.mode, "off, optional or required", parse: { Mode(rawValue: $0) },
            show: { $0.rawValue }),
        Setting(
            "proxy-trusted", \.proxy.trusted, AddressRanges.rule, parse: { AddressRanges($0) },
            reason: AddressRanges.complaint),
        Setting.timeout(\.live.proxyTimeout, NumericOptions.Server.proxyTimeout),
    ]
}
