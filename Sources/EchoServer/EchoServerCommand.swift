import ArgumentParser
import Glibc
import GreenNet
import ProgramKit

/// `echo-server`: reads the options, serves, and ends with an exit status that init systems understand.
@main
enum EchoServerCommand {
    static func main() {
        ServerProcess.arrangeSignals()
        Hub.leaveMainQueueAlone()
        do {
            let arguments = try ProgramArguments.texts()
            do {
                var command = try Options.parseAsRoot(arguments)
                try command.run()
            } catch {
                Options.end(with: error, arguments: arguments)
            }
        } catch {
            writeLine("echo-server: \(error)")
            exit(ExitStatus.usage.rawValue)
        }
    }
}

extension Options {
    static let configuration = CommandConfiguration(
        commandName: "echo-server",
        abstract: "A TCP service that sends back what it receives, in upper case by default.",
        discussion: """
            Only the ASCII letters a to z change; every other byte comes back as it was. A client that ends its side (nc -N) gets all its \
            answers, then the end of the stream.

            By default each connection gets \(ModelKind.all[0].context); --model chooses \
            \(ModelKind.all.dropFirst().map(\.context).joined(separator: " or ")) instead, made for it or taken from a pool. The models serve \
            alike and differ in what a connection costs.

            TERM and INT stop accepting and let the clients finish, up to --drain-timeout; a second signal ends the server at once. USR1 logs \
            the counters, and every green thread with what it waits for.

            Each option that has a value can also be given in the environment, as ECHO_SERVER_PORT for --port, and in the file that --config \
            names. An option overrides the environment, and the environment overrides the file. HUP reads the file again; an error in it is \
            logged and changes nothing.

            Under systemd (Type=notify) the server reports when it is ready, its status and that it is alive. Sockets that systemd passes in \
            are served instead of --host, --port and --unix-socket; a socket named admin is used instead of --admin.

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
              69  the address is not available now: in use, not this machine's (yet), or a name that cannot be looked up
              71  the system refused something
              77  no permission
              78  a bad setting in the environment or the file, or a host or path that does not exist
            """,
        version: Version.text
    )

    func run() throws {
        do {
            if inetd { Inetd.keepStandardErrorFromClient() }
            let configuration = Configuration(self)
            if printConfig { return try list(configuration) }
            let settings = try LiveSettings(configuration.read(), configuration, makesFiles: !checkConfig)
            if checkConfig { return try check(settings.now) }
            if inetd {
                try Inetd(settings).run()
            } else {
                try ServerProcess(settings).run()
            }
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
        // A reader that closes the pipe ends the program, as it ends other programs.
        signal(SIGPIPE, SIG_DFL)
        try writeOutput(listing)
    }

    /// With `--inetd` the server listens on nothing.
    private func check(_ settings: Settings) throws(StartFailure) {
        warn()
        if inetd { return }
        for note in try StartCheck(settings: settings).run() { writeLine("echo-server: \(note)") }
    }

    private func warn() {
        for variable in OwnVariables.unknown() { writeLine("echo-server: warning: \(variable)") }
    }
}
