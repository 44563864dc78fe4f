import ArgumentParser

/// Loads, separated by blanks.
struct LoadList: ExpressibleByArgument {
    let loads: [PeerLoad]

    init?(argument: String) {
        let loads = argument.words.map { PeerLoad($0) }
        guard !loads.contains(where: { $0 == nil }) else { return nil }
        self.loads = loads.compactMap { $0 }
    }
}

/// Extras, separated by blanks.
struct ExtraList: ExpressibleByArgument {
    let extras: [PeerExtra]

    init?(argument: String) {
        let extras = argument.words.map { PeerExtra(rawValue: $0) }
        guard !extras.contains(where: { $0 == nil }) else { return nil }
        self.extras = extras.compactMap { $0 }
    }
}

/// A server of the user's: `mine=build/my-server --port {port}`.
struct NamedCommand: ExpressibleByArgument {
    let name: String
    let words: [String]

    init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2, !parts[1].words.isEmpty else { return nil }
        (name, words) = (parts[0], parts[1].words)
    }
}
