import ArgumentParser

/// The options of listening sockets, as they are given.
struct SocketOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Seconds of silence before the kernel asks whether the client is there, seconds between questions, and how many without an answer end the connection; or off (default: \(SocketSettings.KeepAlive())).",
            valueName: "idle[,interval[,count]]"))
    var keepalive: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "End a connection whose client acknowledges nothing for this time; 0: as the kernel does (default: 0).",
            valueName: "seconds"))
    var tcpUserTimeout: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Mark packets with this class of service, 0 to 63 (default: the kernel's).", valueName: "n"))
    var dscp: String?

    @Option(
        help: ArgumentHelp("Serve clients that come by this network interface only (default: all).", valueName: "name"))
    var bindDevice: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Leave a connection to the kernel until its client has sent something, for this time at most; 0: not (default: 0).",
            valueName: "seconds"))
    var deferAccept: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Take bytes with a client's first packet, TCP Fast Open, with this many connections pending; 0: not (default: 0).",
            valueName: "n"))
    var fastOpen: String?

    /// The options that were given, by their names.
    var given: [String: String?] {
        [
            "keepalive": keepalive, "tcp-user-timeout": tcpUserTimeout, "dscp": dscp, "bind-device": bindDevice,
            "defer-accept": deferAccept, "fast-open": fastOpen,
        ]
    }
}
