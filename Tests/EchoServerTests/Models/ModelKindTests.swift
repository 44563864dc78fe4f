import GreenNet
import Testing

@testable import EchoServer

@Suite struct ModelKindTests {
    private func settings(_ change: (inout Settings) -> Void) -> Settings {
        var settings = Settings()
        change(&settings)
        return settings
    }

    @Test func `each model is found by its name, and no other name is a model`() {
        for model in ModelKind.all { #expect(ModelKind(name: model.name) == model) }
        #expect(Set(ModelKind.all.map(\.name)).count == ModelKind.all.count)
        #expect(ModelKind(name: "Green") == nil)
    }

    @Test func `each option of a model belongs to one model at least, and not to all`() {
        for option in ModelKind.Option.allCases {
            let count = ModelKind.all.count { $0.options.contains(option) }
            #expect((1..<ModelKind.all.count).contains(count), "\(option)")
            #expect(Settings.names.contains(option.rawValue))
        }
    }

    @Test func `help and complaints name the models from the list`() {
        #expect(ModelKind.names == "green, thread or process")
        #expect(ModelKind.names(with: .workers) == "green")
        #expect(ModelKind.names(with: .poolSize) == "thread or process")
        let help = Options.helpMessage(columns: 200)
        for model in ModelKind.all { #expect(help.contains(model.name)) }
        #expect(help.contains("\(ModelKind.names) (default: \(ModelKind.all[0]))"))
    }

    @Test(
        arguments: [
            (.green, 1, nil, nil, .hubs(1)), (.green, 3, nil, nil, .hubs(3)),
            (.green, 3, 2, nil, .hubProcesses(2, hubsEach: 3)), (.thread, 1, nil, nil, .hubs(1)),
            (.thread, 1, nil, 4, .hubs(1)), (.process, 1, nil, nil, .hubs(1)),
            (.process, 1, nil, 4, .poolProcesses(4)),
        ] as [(ModelKind, Int, Int?, Int?, Arrangement)])
    func `a model spreads the service over hubs and processes as the settings say`(
        model: ModelKind, workers: Int, processes: Int?, poolSize: Int?, expected: Arrangement
    ) {
        let settings = settings {
            ($0.model, $0.workers, $0.processes, $0.pool) = (model, workers, processes, poolSize.map { PoolSize($0) })
        }
        #expect(settings.arrangement == expected)
    }

    @Test func `hubs and processes that accept have rows of their own`() {
        #expect(Arrangement.hubs(3).rows == 3)
        #expect(Arrangement.hubProcesses(2, hubsEach: 3).rows == 6)
        #expect(Arrangement.poolProcesses(4).rows == 4)
        #expect(Arrangement.poolProcesses(4).listeners == 1)
        #expect(Arrangement.hubProcesses(2, hubsEach: 3).listeners == 6)
    }
}
