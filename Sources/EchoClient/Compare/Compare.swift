import ArgumentParser
import Glibc
import GreenNet
import ProgramKit

/// `echo-client compare`: what each of the server's models costs on this machine.
struct Compare: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Start echo-server in each of its models, put the same load on each, and show their cost on this machine.",
        discussion: """
            Starts a new server for each number of connections and each round, and loads it from a separate process. Checks every byte of \
            every answer. The figures are medians over the rounds.

            EXAMPLES
              echo-client compare --html models.html
              echo-client compare --connections 1,100 --rounds 1 --duration 0.5
              echo-client compare --against 'socat=socat TCP-LISTEN:{port},fork,reuseaddr EXEC:cat'

            EXIT STATUS
              0   done; a model that can't serve a number of connections is no error
              1   a server did not start, or the report could not be written
              64  invalid option
            A signal that ends it, SIGKILL included, also ends the servers and loads that it has started.
            """
    )

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Numbers of connections, separated by commas, each \(Numbers.connections.span).", valueName: "numbers"))
    var connections = "1,10,100,1000,10000"

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Rounds, \(Numbers.rounds.span); each round measures every server once.", valueName: "n"))
    var rounds = "3"

    @Option(
        name: [.short, .long], parsing: .unconditional,
        help: ArgumentHelp("Length of one measurement, up to an hour.", valueName: "seconds"))
    var duration = "1"

    @Option(
        name: [.short, .long], parsing: .unconditional, help: ArgumentHelp("Bytes of a message.", valueName: "bytes"))
    var size = "64"

    @Option(parsing: .unconditional, help: ArgumentHelp("Messages in flight on each connection.", valueName: "n"))
    var depth = "1"

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("OS threads, or processes, in the pools, \(Numbers.poolSize.span).", valueName: "n"))
    var poolSize = "64"

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Workers of the green model with workers, \(Numbers.workers.span) (default: one a processor, 2 at least).",
            valueName: "n"))
    var workers: String?

    @Option(help: ArgumentHelp("The echo-server to start (default: the one beside this program).", valueName: "path"))
    var server: String?

    @Option(
        help: ArgumentHelp(
            "Compare with another echo server too; the shell runs its command, with the port in place of {port}.",
            valueName: "name=command"))
    var against: [String] = []

    @Option(
        help: ArgumentHelp(
            "Measure only these, separated by commas, with their names in the table.", valueName: "names"))
    var only: String?

    @Option(help: ArgumentHelp("Write a self-contained page with plots.", valueName: "file"))
    var html: String?

    @Flag(help: "Print the report as one line of JSON.")
    var json = false

    @Flag(help: "Print a shorter table, as Markdown.")
    var markdown = false

    private typealias Numbers = NumericOptions.Compare

    private var counts: [Int] { get throws { try Numbers.connections.numbers(in: connections) } }
    private var roundCount: Int { get throws { try Numbers.rounds.number(in: rounds) } }

    /// For `count` connections.
    private func load(_ count: Int) throws -> LoadPlan {
        var load = LoadPlan(target: .unix(path: ""))
        (load.connections, load.own) = (count, 0..<count)
        load.duration = try Numbers.duration.number(in: duration)
        load.size = try NumericOptions.Client.size.number(in: size)
        load.depth = try NumericOptions.Client.depth.number(in: depth)
        load.timeout = .seconds(20)
        // What a slow model owes at the end belongs to its latencies.
        load.patience = load.timeout
        load.endsAtFailure = true
        return load
    }

    func validate() throws {
        _ = try roundCount
        for count in try counts {
            if let complaint = try load(count).complaint(processes: nil) { throw ValidationError(complaint) }
        }
        let contenders = try contenders
        for text in against where Contender.other(text) == nil {
            throw ValidationError("--against '\(text)' is not NAME=COMMAND.")
        }
        if json && markdown { throw ValidationError("--json and --markdown exclude each other.") }
        if let only, contenders.isEmpty { throw ValidationError("--only '\(only)' matches no server.") }
    }

    private var contenders: [Contender] {
        get throws {
            let workers = try Numbers.workers.number(ifIn: workers) ?? max(2, Machine.processors)
            let pool = try Numbers.poolSize.number(in: poolSize)
            let all =
                Contender.models(server ?? ProgramArguments.sibling("echo-server"), workers: workers, pool: pool)
                + against.compactMap { Contender.other($0) }
            guard let only else { return all }
            // A name may have a comma in it.
            return all.filter { ",\(only),".holds(",\($0.name),") }
        }
    }

    func run() throws {
        try ProcessTree.checkReadable()
        DescriptorLimit.raise()
        let rounds = try roundCount
        let comparison = try Comparison(contenders, connections: counts, load: load(1), rounds: rounds)
        try comparison.run()
        let command = try Compare.commandLine
        if let html { try Compare.write(ComparisonPage(comparison, command: command).html, to: html) }
        if json { return try StandardStreams.write("\(comparison.json)\n") }
        if markdown { return try StandardStreams.write(comparison.markdown(command: command)) }
        let foot = "\(Machine.description); medians of \(rounds) \(rounds == 1 ? "round" : "rounds"): \(command)"
        try StandardStreams.write("\(comparison.table)\n\(foot)\n")
    }
}

extension Compare {
    private static func write(_ page: String, to path: String) throws(Failure) {
        do throws(SystemError) { try SmallFile.write(page, to: path) } catch { throw .notWritten(path, error) }
    }

    /// As it was typed, without the place of the program, and with quotes where the shell needs them.
    fileprivate static var commandLine: String {
        get throws {
            let words = ["echo-client"] + (try ProgramArguments.texts())
            return words.map { word in
                let isPlain = word.allSatisfy { $0.isLetter || $0.isNumber || "-_./,:=@%+".contains($0) }
                return isPlain ? word : "'\(word.exchanging("'", for: #"'\''"#).escaped)'"
            }.joined(separator: " ")
        }
    }
}
