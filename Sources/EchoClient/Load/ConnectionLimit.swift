import ProgramKit

extension DescriptorLimit {
    /// Not for connections: the standard descriptors, pipes, the loops.
    static let reserve = 200

    /// How many connections one process of a load may have.
    static var connections: Int { max(1, raise() - reserve) }
}
