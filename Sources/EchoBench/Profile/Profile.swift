import ArgumentParser
import ProgramKit

/// `EchoBench profile`: where the time of a message goes.
struct Profile: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Samples the C epoll server and green threads with perf: nanoseconds a message, by where they are spent.")

    @Option(help: "Connections, a table for each number.") var connections = NumberList([64, 1000])
    @Option(help: "Seconds sampled for each server and number of connections.") var seconds = 5.0
    @OptionGroup var placement: PlacementOptions
    @Option(help: "echo-server, not stripped.") var server = ".build/release/echo-server"

    func validate() throws { try check("seconds", seconds, atLeast: 0.1) }

    func run() throws {
        guard Tool.isInstalled("perf") else { throw BenchFailure("no perf here: apt-get install linux-perf") }
        try Tool.check([GeneratorStart.program, ModelContender.floors[0], server], builtBy: "profile")
        _ = DescriptorLimit.raise()
        let place = Placement(cpu: placement.cpu, policy: placement.permittedPolicy())
        let harness = Harness(server: place, generator: place, group: ControlGroup(for: place))
        let floor = ServerStart(name: ModelContender.floor, words: [ModelContender.floors[0]])
        let green = ServerStart(name: "green", words: [server, "--port", "0"])
        print("\(Machine.description); nanoseconds a message of 64 bytes")
        for count in connections.numbers {
            let sampler = ProfileSampler(harness, count: count, seconds: seconds)
            print("\n" + ProfileTable(count, floor: try sampler.sample(floor), green: try sampler.sample(green)).text)
        }
    }
}
