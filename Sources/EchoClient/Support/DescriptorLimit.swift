import Glibc

/// How many descriptors a process may have.
enum DescriptorLimit {
    /// What is not for connections: the standard ones, pipes, the loops.
    static let reserve = 200

    /// How many connections one process of a load may have.
    static var connections: Int { max(1, raise() - reserve) }

    /// Raises it as far as that is permitted, and returns it.
    @discardableResult
    static func raise() -> Int {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return Int(min(limit.rlim_cur, 1 << 30))
    }
}
