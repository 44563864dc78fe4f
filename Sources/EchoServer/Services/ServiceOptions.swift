import ArgumentParser

/// The options of services beside echo over TCP, as they are given.
struct ServiceOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("What to serve: \(SmallService.names) (default: echo).", valueName: "service"),
        completion: .list(SmallService.allCases.map(\.rawValue)))
    var service: String?

    @Option(
        help: ArgumentHelp("Bytes that chargen sends on a connection (default: 1M).", valueName: "bytes"))
    var chargenLimit: String?

    @Flag(
        inversion: .prefixedNo,
        help: "Serve datagrams too, on the addresses and ports of the TCP listeners (default: --no-udp).")
    var udp: Bool?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Datagrams a second that are answered to one address (default: 1000).", valueName: "n"))
    var udpRate: String?

    /// The options that were given, by their names.
    var given: [String: String?] {
        [
            "service": service, "chargen-limit": chargenLimit, "udp": udp.map { $0 ? "yes" : "no" },
            "udp-rate": udpRate,
        ]
    }
}
