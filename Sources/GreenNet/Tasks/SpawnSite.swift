/// Where in the program a green thread was spawned.
public struct SpawnSite: CustomStringConvertible, Sendable {
    /// As `#fileID` has it, such as `Chat/Server.swift`.
    public let fileID: StaticString
    /// Counted from 1.
    public let line: UInt

    /// As in `Chat/Server.swift:42`.
    public var description: String { "\(fileID):\(line)" }
}
