import ArgumentParser
import Glibc
import GreenNet
import ProgramKit

/// `EchoBench`: the benchmarks behind `make bench` and `make bench-*`; a failure is one line and exit status 1.
@main
struct EchoBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "EchoBench",
        abstract: "Measures echo-server beside C, other languages and other builds of itself.",
        discussion: "Run from the package's root; `make bench-models` and the like build what each subcommand needs.",
        subcommands: [
            Models.self, Peers.self, Cores.self, StartCost.self, Million.self, Micro.self, Profile.self,
            FiguresCommand.self, Check.self,
        ]
    )

    static func main() {
        InheritedSignals.replace(withDefault: [SIGTERM, SIGCHLD], ignoring: [SIGPIPE])
        StandardDescriptors.reserve()
        Hub.leaveMainQueueAlone()
        do {
            var command = try parseAsRoot(try ProgramArguments.texts())
            try Interruption.watch { try command.run() }
        } catch {
            end(error)
        }
    }

    private static func end(_ error: any Error) -> Never {
        if let signal = (error as? Interruption)?.signal { Glibc.exit(128 + signal) }
        guard exitCode(for: error) == .failure, !(error is ExitCode) else {
            end(with: error, arguments: CommandLine.arguments)
        }
        complain("\(error)")
        exit(withError: ExitCode.failure)
    }
}
