import ArgumentParser
import GreenNet
import ProgramKit

/// `echo-client talk`, which is also what `echo-client` alone does.
struct Talk: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send what is typed, or standard input, and show the answers.",
        discussion: """
            At a terminal, each line is sent when it is finished, and its answer shown; Ctrl-D ends. Where standard input or output is no \
            terminal, all input is sent, then the sending side is closed (half-close), and answers are shown until the service ends \
            the stream.

            EXIT STATUS
              0   the answers were as many bytes as were sent
              1   they were not, or not in time; there was no connection, or input or output failed
              64  bad option
            When nobody reads its output any more, SIGPIPE ends it (141 in a shell), as it does other filters.
            """
    )

    @OptionGroup var target: Target

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Longest time for connecting, and in which nothing comes that is owed; 0: no limit.", valueName: "seconds"))
    var timeout = "30"

    /// Nil for none.
    var limit: Duration? {
        get throws {
            let limit = try NumericOptions.Client.idleTimeout.number(in: timeout)
            return limit == .zero ? nil : limit
        }
    }

    func validate() throws { _ = try limit }

    func run() throws {
        let limit = try limit
        let connection = try target.connect(within: limit)
        defer { connection.close() }
        if StandardStreams.areTerminal {
            try Prompt(connection: connection, idleLimit: limit).run()
        } else {
            try Filter(connection: connection, idleLimit: limit).run()
        }
    }
}
