import ArgumentParser

/// How many connections there are, and for how long.
struct LimitOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Most connections at once (default: what the descriptor limit allows).", valueName: "n"))
    var maxConnections: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Most connections at once from one address (default: no limit).", valueName: "n"))
    var maxConnectionsPerIp: String?

    @Option(
        help: ArgumentHelp(
            "At the limit: defer leaves clients in the kernel's queue, reject closes (default: defer).",
            valueName: "way"))
    var overflow: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Close a connection that sends nothing for this time; 0: never (default: 0).", valueName: "seconds"))
    var idleTimeout: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Close a connection that reads nothing for this time; 0: never (default: 0).", valueName: "seconds"))
    var writeTimeout: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Time for the clients to finish after TERM (default: 10).", valueName: "seconds"))
    var drainTimeout: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Time for which TERM leaves the service accepting, while /readyz says 503, before it drains (default: 0).",
            valueName: "seconds"))
    var lameDuck: String?

    /// The options that were given, by their names.
    var given: [String: String?] {
        [
            "max-connections": maxConnections,
            "max-connections-per-ip": maxConnectionsPerIp,
            "overflow": overflow,
            "idle-timeout": idleTimeout,
            "write-timeout": writeTimeout,
            "drain-timeout": drainTimeout,
            "lame-duck": lameDuck,
        ]
    }
}
