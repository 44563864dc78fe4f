import ArgumentParser

/// Where the server listens.
struct ListeningOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Address or name to listen on (default: 127.0.0.1).", valueName: "host"))
    var host: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Port to listen on; 0 takes a free one (default: 8080).", valueName: "port"))
    var port: String?

    @Option(help: ArgumentHelp("Listen on a unix socket instead; @NAME for an abstract one.", valueName: "path"))
    var unixSocket: String?

    @Option(
        help: ArgumentHelp(
            "Mode of the unix socket's path, such as 0660 (default: by the umask).", valueName: "octal"))
    var unixSocketMode: String?

    @Option(help: ArgumentHelp("Owner of the unix socket's path (default: the process's user).", valueName: "user"))
    var unixSocketOwner: String?

    @Option(help: ArgumentHelp("Group of the unix socket's path (default: the process's group).", valueName: "group"))
    var unixSocketGroup: String?

    @Flag(
        inversion: .prefixedNo,
        help: "Listen even on an address that the machine does not have yet (default: --no-freebind).")
    var freebind: Bool?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Connections the kernel queues before they are accepted (default: 4096).", valueName: "n"))
    var backlog: String?

    /// The options that were given, by their names.
    var given: [String: String?] {
        [
            "host": host,
            "port": port,
            "unix-socket": unixSocket,
            "unix-socket-mode": unixSocketMode,
            "unix-socket-owner": unixSocketOwner,
            "unix-socket-group": unixSocketGroup,
            "freebind": freebind.map { $0 ? "yes" : "no" },
            "backlog": backlog,
        ]
    }
}
