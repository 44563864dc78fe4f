import ArgumentParser

/// What serves the connections, and what they get.
struct ServingOptions: ParsableArguments {
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

    /// The options that were given, by their names.
    var given: [String: String?] {
        [
            "model": model,
            "transform": transform,
            "workers": workers,
            "processes": processes,
            "pool-size": poolSize,
            "worker-timeout": workerTimeout,
            "buffer-size": bufferSize,
        ]
    }
}
