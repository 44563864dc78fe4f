import ArgumentParser
import Logging

/// The options as they are given; nil where one is not.  `Settings` puts the environment and the defaults under them.
struct Options: ParsableArguments {
    @Option(help: ArgumentHelp("Address or name to listen on (default: 127.0.0.1).", valueName: "host"))
    var host: String?

    @Option(help: ArgumentHelp("Port to listen on; 0 takes a free one (default: 8080).", valueName: "port"))
    var port: String?

    @Option(help: ArgumentHelp("Listen on a unix socket instead; @NAME is an abstract one.", valueName: "path"))
    var unixSocket: String?

    @Option(help: ArgumentHelp("What to send back: upper or echo (default: upper).", valueName: "transform"))
    var transform: String?

    @Option(help: ArgumentHelp("Bytes received at a time (default: 65536).", valueName: "bytes"))
    var bufferSize: String?

    @Option(
        help: ArgumentHelp("Connections the kernel queues before they are accepted (default: 4096).", valueName: "n"))
    var backlog: String?

    @Option(help: ArgumentHelp("Time the clients have to finish after TERM (default: 10).", valueName: "seconds"))
    var drainTimeout: String?

    @Option(
        help: ArgumentHelp(
            "trace, debug, info, notice, warning, error or critical (default: info).", valueName: "level"))
    var logLevel: String?
}
