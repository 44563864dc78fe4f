import ArgumentParser
import Glibc
import GreenNet

extension ParsableCommand {
    /// Ends the program with what ArgumentParser says to `error`: a complaint about an option, help, or an exit status alone.
    package static func end(with error: any Error, arguments: [String]) -> Never {
        if exitCode(for: error) != .validationFailure || error is ExitCode { exit(withError: error) }
        var text = escapedComplaint(fullMessage(for: error), about: arguments) + "\n"
        text.withUTF8 { bytes in _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
        Glibc.exit(ExitCode.validationFailure.rawValue)
    }
}

/// A complaint of several lines, in which what it quotes of the arguments ends no line and speaks to no terminal.
func escapedComplaint(_ complaint: String, about arguments: [String]) -> String {
    var text = complaint
    for argument in arguments {
        // The whole of it, or the name or the value of one such as --name=value.
        let parts = [argument] + argument.split(separator: "=", maxSplits: 1).map(String.init)
        for part in parts where part.escaped != part {
            text = text.exchanging(part, for: part.escaped)
        }
    }
    return text.split(separator: "\n", omittingEmptySubsequences: false).map { String($0).escaped }
        .joined(separator: "\n")
}
