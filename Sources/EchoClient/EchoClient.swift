import ArgumentParser
import Glibc
import GreenNet
import ProgramKit

/// `echo-client`: reads the options and runs what they ask for; a failure is one line and exit status 1.
@main
struct EchoClient: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo-client",
        abstract: "Talk to an echo service, check its health, or measure it.",
        usage: """
            echo-client [<host>] [<port>] [--unix-socket <path>] [--timeout <seconds>]
            echo-client ping [<host>] [<port>] [--unix-socket <path>] [--timeout <seconds>] [--transform <transform>]
            echo-client load [<host>] [<port>] [<options>]
            echo-client compare [<options>]
            echo-client workload [<options>]
            """,
        discussion: """
            Without a subcommand it talks: line by line at a terminal, else as a filter from standard input to standard output, until the \
            service has answered everything.

            EXAMPLES
              echo-client                       talk to 127.0.0.1:8080; Ctrl-D ends it
              echo-client ::1 7777              another address and port
              echo-client --unix-socket /run/echo.sock
              echo-client <file >answer         a filter
              echo-client ping --timeout 0.5    check the health of the service
              echo-client load --duration 5     measure it, and check every byte
              echo-client compare               the cost of each model of echo-server on this machine
              echo-client workload              threads, processes and green threads at different kinds of work
              echo-client help load             all options of load

            EXIT STATUS
              0   success
              1   no connection, wrong answers, or no answer in time
              64  invalid option
            """,
        version: Version.text,
        subcommands: [
            Talk.self, Ping.self, Load.self, Compare.self, Workload.self, LoadWorker.self, Attend.self,
            WorkRun.self, WorkServer.self,
        ],
        defaultSubcommand: Talk.self
    )

    static func main() {
        // INT stays ignored where a shell has said so for a job in the background.
        InheritedSignals.replace(withDefault: [SIGTERM, SIGCHLD])
        StandardDescriptors.reserve()
        Hub.leaveMainQueueAlone()
        do {
            let arguments = try ProgramArguments.texts()
            do {
                var command = try parseAsRoot(arguments)
                try command.run()
            } catch {
                end(error, arguments)
            }
        } catch {
            StandardStreams.complain("echo-client: \(error)")
            exit(withError: ExitCode.validationFailure)
        }
    }

    /// ArgumentParser prints its own errors: a request for help, an invalid option.  An exit status alone was explained before it was thrown, by a
    /// report for instance.
    private static func end(_ error: any Error, _ arguments: [String]) -> Never {
        guard exitCode(for: error) == .failure, !(error is ExitCode) else { end(with: error, arguments: arguments) }
        StandardStreams.complain("echo-client: \(error)")
        exit(withError: ExitCode.failure)
    }
}
