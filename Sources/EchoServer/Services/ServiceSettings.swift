import GreenNet
import ProgramKit

/// What is served, and whether over UDP as well.
struct ServiceSettings: Equatable, Sendable {
    var service = SmallService.echo
    var chargenLimit = 1_000_000
    var servesDatagrams = false
    /// Datagrams a second that are answered to one address.
    var datagramRate = 1000

    static let all: [Setting] = [
        Setting(
            "service", \.services.service, SmallService.names, parse: { SmallService(rawValue: $0) },
            show: { $0.rawValue }),
        Setting(
            "chargen-limit", \.services.chargenLimit, ByteAmount.rule, parse: { ByteAmount.value(of: $0) },
            show: { "\($0)" }),
        Setting(
            "udp", \.services.servesDatagrams, "yes or no", parse: { ["yes": true, "no": false][$0] },
            show: { $0 ? "yes" : "no" }),
        Settings.required(\.services.datagramRate, NumericOptions.Server.udpRate),
    ]

    /// Throws where datagrams are to be served at a unix socket, or to be answered with more than they have.
    static func check(_ settings: Settings, _ sources: SettingSources) throws(StartFailure) {
        try checkPath(settings, sources)
        let places =
            settings.datagramEntries.map { $0.settings(settings) }
            + (settings.services.servesDatagrams ? [settings] : [])
        guard places.contains(where: { $0.services.service == .echo && $0.transform == .whoami }),
            let (text, origin) = sources.pick("transform") ?? sources.pick("listen")
        else { return }
        throw origin.failure("'\(text)' does not go with UDP, where an answer is no longer than its question")
    }

    private static func checkPath(_ settings: Settings, _ sources: SettingSources) throws(StartFailure) {
        guard settings.services.servesDatagrams, let path = settings.unixSocket,
            let (text, origin) = sources.pick("udp")
        else { return }
        throw origin.failure("'\(text)' needs a TCP listener: unix-socket is \(path)")
    }
}
