import ArgumentParser

/// The options of faults on purpose, as they are given.
struct FaultOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Hold each answer back for this time (default: none).", valueName: "seconds"))
    var delay: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Hold each answer back for up to this time more, at random.", valueName: "seconds"))
    var jitter: String?

    @Option(
        help: ArgumentHelp("Send no more than this many bytes a second on each connection.", valueName: "rate"))
    var bandwidth: String?

    @Option(
        help: ArgumentHelp(
            "Reset a connection after this many bytes of answers, such as 64K, or this time, such as 0.3s.",
            valueName: "limit"))
    var resetAfter: String?

    @Option(
        help: ArgumentHelp("Close a connection after this many bytes of answers, or this time.", valueName: "limit"))
    var closeAfter: String?

    @Option(help: ArgumentHelp("End the answers after this many bytes, and receive on.", valueName: "bytes"))
    var truncate: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Turn a bit of each byte with this probability, 0 to 1.", valueName: "probability"))
    var corrupt: String?

    @Flag(inversion: .prefixedNo, help: "Accept connections, and neither receive nor send (default: --no-stall).")
    var stall: Bool?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Reset a connection at once with this probability, 0 to 1.", valueName: "probability"))
    var refuse: String?

    @Option(
        help: ArgumentHelp(
            "Faults of some connections: CIDR=FAULT or PERCENT%=FAULT, as 10.0.0.0/8=delay:0.1,reset-after:1K; may be repeated, and the first that fits counts.",
            valueName: "rule"))
    var fault: [String] = []

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Make the same random choices in each run (default: others each time).", valueName: "n"))
    var faultSeed: String?

    /// The options that were given, by their names.
    var given: [String: String?] {
        [
            "delay": delay, "jitter": jitter, "bandwidth": bandwidth, "reset-after": resetAfter,
            "close-after": closeAfter, "truncate": truncate, "corrupt": corrupt,
            "stall": stall.map { $0 ? "yes" : "no" }, "refuse": refuse,
            "fault": fault.isEmpty ? nil : fault.joined(separator: ";"), "fault-seed": faultSeed,
        ]
    }
}
