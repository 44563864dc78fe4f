import GreenNet

/// A model: what each connection gets to itself.
///
/// Another model is one file in this folder, with its `ConnectionModel` and its description, and one line in `all`.  The rest of the server
/// asks the description and compares no names.
struct ModelKind: Sendable {
    /// The value of `--model`, and of the field `model` in the log.
    let name: String
    /// What a connection gets, as in `a green thread`.
    let context: String
    /// The options that this model has, of those that not all models have.
    let options: Set<Option>
    /// Whether the OS thread of the hub that accepts a connection also serves it.  That OS thread alone then writes to the hub's counters.
    let servesOnHub: Bool
    /// Those that a hub of this model has for itself, besides those of its loop.
    let descriptors: Int
    /// Whether a process of its own may serve each client, which the fork server of an installation makes.
    let hasForkServer: Bool
    /// How the settings spread the service over hubs and processes.
    let arrangement: @Sendable (Settings) -> Arrangement
    /// Makes the model on the hub that is to accept.  Throws where the system refuses what the model needs.
    let make: @Sendable (ConnectionService, Settings) throws -> any ConnectionModel

    /// All models, the default first.
    static let all = [green, thread, process]

    /// An option that only some models have.
    enum Option: String, CaseIterable, Sendable {
        /// Hubs of each process, each on an OS thread.
        case workers
        /// Processes, forked at the start.
        case processes
        /// Contexts made at the start; each serves one connection at a time.
        case poolSize = "pool-size"
    }

    init(
        _ name: String, _ context: String, options: Set<Option> = [], servesOnHub: Bool = false, descriptors: Int = 0,
        hasForkServer: Bool = false,
        arrangement: @escaping @Sendable (Settings) -> Arrangement = { _ in .hubs(1) },
        make: @escaping @Sendable (ConnectionService, Settings) throws -> any ConnectionModel
    ) {
        (self.name, self.context, self.options, self.servesOnHub) = (name, context, options, servesOnHub)
        (self.descriptors, self.hasForkServer) = (descriptors, hasForkServer)
        (self.arrangement, self.make) = (arrangement, make)
    }

    /// The model of that name; nil where there is none.
    init?(name: String) {
        guard let model = ModelKind.all.first(where: { $0.name == name }) else { return nil }
        self = model
    }
}

extension ModelKind: Equatable, CustomStringConvertible {
    static func == (left: ModelKind, right: ModelKind) -> Bool { left.name == right.name }

    var description: String { name }
}

// MARK: - Words

extension ModelKind {
    /// As in `green, thread or process`.
    static var names: String { list(all) }

    /// As in `thread or process`: the models that have `option`.
    static func names(with option: Option) -> String { list(all.filter { $0.options.contains(option) }) }

    private static func list(_ models: [ModelKind]) -> String {
        guard let last = models.last, models.count > 1 else { return models.first?.name ?? "" }
        return models.dropLast().map(\.name).joined(separator: ", ") + " or \(last)"
    }

    /// Why a value of `option` is refused with this model.
    func complaint(about option: Option, _ value: String) -> String {
        "'\(value)' needs the model \(ModelKind.names(with: option)), not \(name)"
    }
}
