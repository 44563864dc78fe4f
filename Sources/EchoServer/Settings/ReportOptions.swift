import ArgumentParser

/// Where the server tells what it does.
struct ReportOptions: ParsableArguments {
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

    /// The options that were given, by their names.
    var given: [String: String?] {
        [
            "log-level": logLevel,
            "log-format": logFormat,
            "admin": admin,
            "admin-mode": adminMode,
            "admin-owner": adminOwner,
            "admin-group": adminGroup,
        ]
    }
}
