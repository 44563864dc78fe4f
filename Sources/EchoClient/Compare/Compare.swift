import ArgumentParser
import Glibc
import GreenNet

/// `echo-client compare`: what each of the server's models costs on this machine.
struct Compare: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start echo-server in each of its models, load each alike, and show what they cost here.",
        discussion: """
            Each server is started anew for each number of connections and each round, and loaded by this program from a process of its \
            own. Every byte of every answer is checked. The figures are medians over the rounds.

            EXAMPLES
              echo-client compare --html models.html
              echo-client compare --connections 1,100 --rounds 1 --duration 0.5
              echo-client compare --against 'socat=socat TCP-LISTEN:{port},fork,reuseaddr EXEC:cat'

            EXIT STATUS
              0   done; a model that can't serve so many connections is no error
              1   a server could not be started, or the report not be written
              64  bad option
            """
    )

    @Option(help: ArgumentHelp("Numbers of connections, with commas between.", valueName: "numbers"))
    var connections = "1,10,100,1000,10000"

    @Option(help: ArgumentHelp("How often each is measured, in turn with the others.", valueName: "n"))
    var rounds = 3

    @Option(name: [.short, .long], help: ArgumentHelp("Length of one measurement (default: 1).", valueName: "seconds"))
    var duration = Seconds(argument: "1")!

    @Option(name: [.short, .long], help: ArgumentHelp("Bytes of a message.", valueName: "bytes"))
    var size = 64

    @Option(help: ArgumentHelp("Messages in flight on each connection.", valueName: "n"))
    var depth = 1

    @Option(help: ArgumentHelp("OS threads, or processes, in the pools.", valueName: "n"))
    var poolSize = 64

    @Option(
        help: ArgumentHelp(
            "Workers of the green model with workers (default: one a processor, 2 at least).", valueName: "n"))
    var workers: Int?

    @Option(help: ArgumentHelp("The echo-server to start (default: the one beside this program).", valueName: "path"))
    var server: String?

    @Option(
        help: ArgumentHelp(
            "Another echo server; its command for the shell has {port} where it is to listen.",
            valueName: "name=command"))
    var against: [String] = []

    @Option(help: ArgumentHelp("Only these, with commas between; as the table names them.", valueName: "names"))
    var only: String?

    @Option(help: ArgumentHelp("Write a page with plots that needs nothing else.", valueName: "file"))
    var html: String?

    @Flag(help: "The report as one line of JSON.")
    var json = false

    @Flag(help: "A shorter table, as Markdown.")
    var markdown = false

    private var counts: [Int] { connections.split(separator: ",").compactMap { Int($0) } }

    func validate() throws {
        if counts.isEmpty || counts.count != connections.split(separator: ",").count
            || counts.contains(where: { $0 < 1 })
        {
            throw ValidationError("--connections are numbers above 0 with commas between.")
        }
        if [rounds, size, depth, poolSize, workers ?? 1].contains(where: { $0 < 1 }) {
            throw ValidationError("--rounds, --size, --depth, --pool-size and --workers are numbers above 0.")
        }
        for text in against where Contender.other(text) == nil {
            throw ValidationError("--against '\(text)' is not NAME=COMMAND.")
        }
        if json && markdown { throw ValidationError("--json and --markdown exclude each other.") }
        if let only, contenders.isEmpty { throw ValidationError("--only '\(only)' leaves nobody to compare.") }
    }

    private var contenders: [Contender] {
        let workers = workers ?? max(2, Machine.processors)
        let all =
            Contender.models(server ?? OwnProgram.sibling("echo-server"), workers: workers, pool: poolSize)
            + against.compactMap { Contender.other($0) }
        guard let only else { return all }
        // A name may have a comma in it.
        return all.filter { ",\(only),".contains(",\($0.name),") }
    }

    func run() throws {
        DescriptorLimit.raise()
        var load = LoadPlan(target: .unix(path: ""), duration: duration.duration)
        (load.size, load.depth, load.timeout) = (size, depth, .seconds(20))
        let comparison = Comparison(contenders, connections: counts, load: load, rounds: rounds)
        try comparison.run()
        let command = CommandLine.command
        if let html { try SystemFile.write(ComparisonPage(comparison, command: command).html, to: html) }
        if json { return try StandardStreams.write("\(comparison.json)\n") }
        if markdown { return try StandardStreams.write(comparison.markdown(command: command)) }
        let foot = "\(Machine.description); medians of \(rounds) \(rounds == 1 ? "round" : "rounds"): \(command)"
        try StandardStreams.write("\(comparison.table)\n\(foot)\n")
    }
}

/// Where this program lies.
enum OwnProgram {
    static var path: String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
            let count = readlink("/proc/self/exe", buffer.baseAddress!, buffer.count)
            return String(decoding: buffer[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }

    static func sibling(_ name: String) -> String {
        let own = path
        return own[..<(own.lastIndex(of: "/") ?? own.startIndex)] + "/" + name
    }
}

extension CommandLine {
    /// As it was typed, without the place of the program, and with quotes where the shell needs them.
    static var command: String {
        let words = ["echo-client"] + arguments.dropFirst()
        return words.map { word in
            let isPlain = word.allSatisfy { $0.isLetter || $0.isNumber || "-_./,:=@%+".contains($0) }
            return isPlain ? word : "'\(word.replacing("'", with: #"'\''"#))'"
        }.joined(separator: " ")
    }
}
