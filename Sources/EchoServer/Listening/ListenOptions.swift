import ArgumentParser

/// `--listen`, as it is given.
struct ListenOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Listen at several places instead: tcp:HOST:PORT, tls:HOST:PORT, unix:PATH and udp:HOST:PORT, with commas between them; ?NAME=VALUE&NAME=VALUE behind an address sets what differs there. May be repeated.",
            valueName: "places"))
    var listen: [String] = []

    /// The options that were given, by their names.
    var given: [String: String?] { ["listen": listen.isEmpty ? nil : listen.joined(separator: ",")] }
}
