import ArgumentParser
import Glibc
import GreenNet
import ProgramKit

/// `echo-server`: reads the options, serves, and ends with an exit status that init systems understand.
@main
struct EchoServerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo-server",
        abstract: "A TCP service that sends back what it is sent, in upper case unless told otherwise.",
        discussion: """
            Only the ASCII letters a to z change; every other byte comes back as it was. A client that ends its side (nc -N) gets all that \
            is owed, then the end of the stream.

            Each connection gets a green thread, or with --model an OS thread or a process, of its own or of a pool. They behave alike; what \
            differs is what they cost.

            TERM and INT stop accepting and let the clients finish, up to --drain-timeout; a second one ends at once. USR1 logs the counters, \
            every green thread and what it waits for.

            Each option that has a value can also be given in the environment, as ECHO_SERVER_PORT for --port, and in the file that --config \
            names. An option wins over the environment, and that over the file. HUP reads the file again; what is wrong in it is logged and \
            changes nothing.

            It tells systemd (Type=notify) when it is ready, how it stands and that it is alive. Sockets that systemd passes in are served \
            instead of --host, --port and --unix-socket; one named admin is used instead of --admin.

            EXAMPLES
              echo-server                                 serve 127.0.0.1:8080
              echo-server --host :: --port 7 --transform echo
              echo-server --unix-socket /run/echo.sock
              echo-server --processes 2 --workers auto
              echo-server --model process --pool-size 8
              printf 'hello\\n' | nc -N 127.0.0.1 8080     answers HELLO

            EXIT STATUS
              0   stopped by a signal, when the clients were done
              64  a bad option
              69  the address can't be had now: in use, not this machine's (yet), or a name that can't be looked up
              71  the system refused something
              77  no permission
              78  a bad setting in the environment or the file, or a host or path that does not exist
            """,
        version: Version.text
    )

    @OptionGroup var options: Options

    static func main() {
        ServerProcess.arrangeSignals()
        do {
            let arguments = try ProgramArguments.texts()
            do {
                var command = try parseAsRoot(arguments)
                try command.run()
            } catch {
                end(with: error, arguments: arguments)
            }
        } catch {
            writeLine("echo-server: \(error)")
            exit(withError: ExitCode(ExitStatus.usage.rawValue))
        }
    }

    func run() throws {
        do {
            if options.inetd { Inetd.keepStandardErrorFromClient() }
            let configuration = Configuration(options)
            if options.printConfig { return try list(configuration) }
            let settings = try LiveSettings(configuration.read(), configuration)
            if options.checkConfig { return try check(settings.now) }
            if options.inetd { try Inetd(settings).run() } else { try ServerProcess(settings).run() }
        } catch let failure as StartFailure {
            writeLine("echo-server: \(failure.message)")
            throw ExitCode(failure.status.rawValue)
        } catch {
            writeLine("echo-server: \(error)")
            throw ExitCode(ExitStatus.system.rawValue)
        }
    }

    private func list(_ configuration: Configuration) throws {
        warn()
        let listing = try configuration.listing()
        // As other programs do whose output a pipe takes.
        signal(SIGPIPE, SIG_DFL)
        try writeOutput(listing)
    }

    /// Where a manager passes the connection in, there is nothing to listen on.
    private func check(_ settings: Settings) throws(StartFailure) {
        warn()
        if options.inetd { return }
        for note in try StartCheck(settings: settings).run() { writeLine("echo-server: \(note)") }
    }

    private func warn() {
        for variable in OwnVariables.unknown() { writeLine("echo-server: warning: \(variable)") }
    }
}
