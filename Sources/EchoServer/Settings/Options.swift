import ArgumentParser

/// The options as they are given; nil for an option that is not.  `Settings` adds the environment, the configuration file and the defaults, and
/// checks all values.
struct Options: ParsableArguments {
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

    @OptionGroup(title: "Several Listeners") var listen: ListenOptions
    @OptionGroup(title: "Taking Over") var takeOver: TakeOverOptions
    @OptionGroup(title: "Socket Options") var socket: SocketOptions
    @OptionGroup(title: "Services") var services: ServiceOptions
    @OptionGroup(title: "Faults on Purpose") var faults: FaultOptions

    @Option(
        help: ArgumentHelp(
            "What each connection gets: \(ModelKind.names) (default: \(ModelKind.all[0])).", valueName: "model"),
        completion: .list(ModelKind.all.map(\.name)))
    var model: String?

    @Option(
        help: ArgumentHelp("What to send back: \(Transform.names) (default: upper).", valueName: "transform"),
        completion: .list(Transform.allCases.map(\.rawValue)))
    var transform: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "\(ModelKind.names(with: .workers)): hubs, each on an OS thread; auto: one a core (default: 1).",
            valueName: "n"))
    var workers: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "\(ModelKind.names(with: .processes)): processes forked beforehand, each with its workers (default: none).",
            valueName: "n"))
    var processes: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "\(ModelKind.names(with: .poolSize)): a fixed number of them, or, as in 4...64, more when all are busy; further clients wait (default: none).",
            valueName: "n"))
    var poolSize: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Replace a worker process that has not responded for this time; 0: never (default: 10).",
            valueName: "seconds"))
    var workerTimeout: String?

    @Option(
        parsing: .unconditional, help: ArgumentHelp("Bytes received at a time (default: 65536).", valueName: "bytes"))
    var bufferSize: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Connections the kernel queues before they are accepted (default: 4096).", valueName: "n"))
    var backlog: String?

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

    @Option(
        help: ArgumentHelp(
            "Speak TLS only, with the certificate in this PEM file, followed by those that it rests on; read again on HUP (default: no TLS).",
            valueName: "file"), completion: .file())
    var tlsCertificate: String?

    @Option(
        help: ArgumentHelp(
            "The certificate's key, a PEM file without a passphrase; read again on HUP.", valueName: "file"),
        completion: .file())
    var tlsKey: String?

    @Option(
        help: ArgumentHelp(
            "Serve only clients with a certificate of one of the authorities in this PEM file (default: all clients).",
            valueName: "file"), completion: .file())
    var tlsClientCa: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Close a connection whose TLS handshake takes longer; 0: never (default: 10).", valueName: "seconds"))
    var handshakeTimeout: String?

    @Flag(help: "Serve the connection that is standard input, then exit: for inetd, or systemd's Accept=yes.")
    var inetd = false

    @Option(
        help: ArgumentHelp(
            "trace, debug, info, notice, warning, error or critical (default: info).", valueName: "level"))
    var logLevel: String?

    @Option(
        help: ArgumentHelp(
            "auto, text, json or journal; auto: journal under systemd, text on a terminal, else JSON (default: auto).",
            valueName: "format"))
    var logFormat: String?

    @Option(
        help: ArgumentHelp(
            "Serve status and metrics over HTTP: /, /metrics, /healthz, /readyz, /threads (default: none).",
            valueName: "address"))
    var admin: String?

    @Option(
        help: ArgumentHelp(
            "Mode of the path of --admin, such as 0660 (default: by the umask).", valueName: "octal"))
    var adminMode: String?

    @Option(help: ArgumentHelp("Owner of the path of --admin (default: the process's user).", valueName: "user"))
    var adminOwner: String?

    @Option(help: ArgumentHelp("Group of the path of --admin (default: the process's group).", valueName: "group"))
    var adminGroup: String?

    @Option(
        help: ArgumentHelp(
            "File of settings, KEY = VALUE, with the options' names as keys; read again on HUP. Prefix the path with - to make the file optional; - alone is standard input.",
            valueName: "file"))
    var config: String?

    @OptionGroup(title: "Option of what is sent first") var banner: BannerOptions

    @OptionGroup(title: "Option of records") var records: RecordOptions

    @OptionGroup(title: "Options of clients' addresses") var clients: ClientOptions

    @OptionGroup(title: "Options of the PROXY protocol") var proxy: ProxyOptions

    @Flag(help: "Check all settings, and whether the server could listen, then exit.")
    var checkConfig = false

    @Flag(help: "Print every setting and where it comes from, then exit.")
    var printConfig = false

    /// The options that were given, by their names.
    var given: [String: String] {
        let all: [String: String?] = [
            "host": host, "port": port, "unix-socket": unixSocket, "unix-socket-mode": unixSocketMode,
            "unix-socket-owner": unixSocketOwner, "unix-socket-group": unixSocketGroup,
            "freebind": freebind.map { $0 ? "yes" : "no" }, "model": model, "transform": transform,
            "workers": workers, "processes": processes, "pool-size": poolSize, "worker-timeout": workerTimeout,
            "buffer-size": bufferSize, "backlog": backlog, "max-connections": maxConnections,
            "max-connections-per-ip": maxConnectionsPerIp,
            "overflow": overflow, "idle-timeout": idleTimeout, "write-timeout": writeTimeout,
            "drain-timeout": drainTimeout, "lame-duck": lameDuck, "log-level": logLevel, "log-format": logFormat,
            "admin": admin,
            "tls-certificate": tlsCertificate, "tls-key": tlsKey, "tls-client-ca": tlsClientCa,
            "handshake-timeout": handshakeTimeout,
            "admin-mode": adminMode, "admin-owner": adminOwner, "admin-group": adminGroup,
        ]
        let groups = [
            all, banner.given, records.given, clients.given, proxy.given, listen.given, takeOver.given, socket.given,
            services.given, faults.given,
        ]
        return groups.reduce(into: [:]) { $0.merge($1.compactMapValues { $0 }) { $1 } }
    }
}
