@testable import EchoServer

extension Settings {
    /// As the server has them with these options and variables.
    init(parsing arguments: [String], environment: [String: String] = [:]) throws {
        // In a debug build, the parser takes tens of milliseconds even for nothing.
        let given = arguments.isEmpty ? Settings.nothing : try Options.parse(arguments).given
        try self.init(SettingSources(given, environment: { environment[$0] }))
    }

    private static let nothing = try! Options.parse([]).given
}
