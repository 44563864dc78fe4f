import ArgumentParser
import GreenNet
import ProgramKit

/// `echo-client talk`, which is also what `echo-client` alone does.
struct Talk: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send what is typed, or standard input, and show the answers.",
        discussion: """
            At a terminal, it sends each line when it is complete, and shows the answer; Ctrl-D ends it. If standard input or output is no \
            terminal, it sends all input, then closes the sending side (half-close), and writes the answers until the service ends the \
            stream.

            EXIT STATUS
              0   the answers had as many bytes as were sent
              1   answers were missing or late, there was no connection, or input or output failed
              64  invalid option
            When the reader of its output is gone, SIGPIPE ends it (141 in a shell), as it ends other filters.
            """
    )

    @OptionGroup var target: Target

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Limit for connecting, and for the time in which no byte moves while an answer is owed; 0: no limit.",
            valueName: "seconds"))
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
        let connection = try target.open(within: limit)
        defer { connection.close() }
        if StandardStreams.areTerminal {
            try Prompt(connection: connection, idleLimit: limit).run()
        } else {
            try Filter(connection: connection, idleLimit: limit).run()
        }
    }
}
