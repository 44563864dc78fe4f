import ArgumentParser

/// The options as they are given; nil for an option that is not.  `Settings` adds the environment, the configuration file and the defaults, and
/// checks all values.
///
/// The groups are in the command itself: in a debug build the parser reads the whole declaration four times for each group that another is in.
struct Options: ParsableCommand {
    @OptionGroup(title: "Listening") var listening: ListeningOptions
    @OptionGroup(title: "Serving") var serving: ServingOptions
    @OptionGroup(title: "Limits and Times") var limits: LimitOptions
    @OptionGroup(title: "TLS") var tls: CertificateOptions
    @OptionGroup(title: "Log and Admin") var report: ReportOptions
    @OptionGroup(title: "Several Listeners") var listen: ListenOptions
    @OptionGroup(title: "Taking Over") var takeOver: TakeOverOptions
    @OptionGroup(title: "Socket Options") var socket: SocketOptions
    @OptionGroup(title: "Clients' Addresses") var clients: ClientOptions
    @OptionGroup(title: "PROXY Protocol") var proxy: ProxyOptions
    @OptionGroup(title: "Records") var records: RecordOptions
    @OptionGroup(title: "Banner") var banner: BannerOptions
    @OptionGroup(title: "Services") var services: ServiceOptions
    @OptionGroup(title: "Faults on Purpose") var faults: FaultOptions

    @Flag(help: "Serve the connection that is standard input, then exit: for inetd, or systemd's Accept=yes.")
    var inetd = false

    @Option(
        help: ArgumentHelp(
            "File of settings, KEY = VALUE, with the options' names as keys; read again on HUP. Prefix the path with - to make the file optional; - alone is standard input.",
            valueName: "file"))
    var config: String?

    @Flag(help: "Check all settings, and whether the server could listen, then exit.")
    var checkConfig = false

    @Flag(help: "Print every setting and where it comes from, then exit.")
    var printConfig = false

    /// The options that were given, by their names.
    var given: [String: String] {
        let groups = [
            listening.given, serving.given, limits.given, tls.given, report.given, listen.given, takeOver.given,
            socket.given, clients.given, proxy.given, records.given, banner.given, services.given, faults.given,
        ]
        return groups.reduce(into: [:]) { $0.merge($1.compactMapValues { $0 }) { $1 } }
    }
}
