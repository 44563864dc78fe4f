import ArgumentParser
import GreenNet
import ProgramKit

/// The options of who may connect, and how often.
struct ClientOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Serve these addresses only, such as 10.0.0.0/8,::1,unix (default: all).", valueName: "ranges"))
    var allow: String?

    @Option(
        help: ArgumentHelp(
            "Close connections from these addresses, allowed or not (default: none).", valueName: "ranges"))
    var deny: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Limits for one address count IPv6 addresses with the same first n bits as one (default: 64).",
            valueName: "n"))
    var ipv6Prefix: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "New connections from one address: n in a second, or n/s in s seconds (default: no limit).",
            valueName: "n[/s]"))
    var newPerAddress: String?

    /// The options that were given, by their names.
    var given: [String: String?] {
        ["allow": allow, "deny": deny, "ipv6-prefix": ipv6Prefix, "new-per-address": newPerAddress]
    }
}

/// Which clients are served, whatever the number of connections.
struct ClientPolicy: Equatable, Sendable {
    /// Nil where all are allowed.
    var allowed: AddressRanges?
    /// Nil where none is denied.  Counts more than what is allowed.
    var denied: AddressRanges?
    /// What a single customer has of IPv6: its addresses count as one.
    var ipv6Prefix = 64
    /// Nil for any rate.
    var rate: ConnectionRate?

    /// Whether there is a client that `denies` is true for.
    var deniesSome: Bool { allowed != nil || denied != nil }

    func denies(_ client: SocketAddress) -> Bool {
        if let denied, denied.contains(client) { return true }
        return allowed.map { !$0.contains(client) } ?? false
    }

    static let all: [Setting] = [
        ranges("allow", \.clients.allowed), ranges("deny", \.clients.denied),
        Setting(
            NumericOptions.Server.ipv6Prefix.name, \.clients.ipv6Prefix, NumericOptions.Server.ipv6Prefix.rule,
            parse: { NumericOptions.Server.ipv6Prefix.value(of: $0) }),
        Setting(
            "new-per-address", \.clients.rate, ConnectionRate.rule,
            parse: { ConnectionRate($0).map { .some($0) } ?? .none }, show: { $0.map { "\($0)" } ?? "none" }),
    ]

    private static func ranges(
        _ name: String, _ path: WritableKeyPath<Settings, AddressRanges?> & Sendable
    ) -> Setting {
        Setting(
            name, path, AddressRanges.rule, parse: { AddressRanges($0).map { .some($0) } ?? .none },
            reason: AddressRanges.complaint, show: { $0.map { "\($0)" } ?? "none" })
    }
}

/// A number of connections in a time, as `20` in a second or `100/60` in a minute.
struct ConnectionRate: Equatable, Sendable {
    let count: Int
    let time: Duration

    static let rule =
        "a number of connections, or that and a time, such as 20 or 100/60: \(NumericOptions.Server.newPerAddress.span) connections in "
        + "\(NumericOptions.Server.newPerAddressTime.span) seconds"

    /// Nil where the text is no rate.
    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let time = parts.count == 2 ? NumericOptions.Server.newPerAddressTime.value(of: parts[1]) : .seconds(1)
        guard parts.count <= 2, let time, let count = NumericOptions.Server.newPerAddress.value(of: parts[0]) else {
            return nil
        }
        (self.count, self.time) = (count, time)
    }

    /// Between two connections, where they come one after the other.
    var interval: Duration { time / count }
}

extension ConnectionRate: CustomStringConvertible {
    var description: String { time == .seconds(1) ? "\(count)" : "\(count)/\(time.optionText)" }
}
