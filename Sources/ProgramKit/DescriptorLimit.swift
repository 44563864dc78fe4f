import Glibc
import GreenNet

/// How many descriptors this process may have: RLIMIT_NOFILE.
package enum DescriptorLimit {
    /// The soft limit, which counts.
    package static var current: Int { clamped(limits.rlim_cur) }
    /// The hard limit, as far as the soft one can be raised.
    package static var most: Int { clamped(limits.rlim_max) }

    /// How many connections a process of echo-server takes on where it may have `limit` descriptors.
    ///
    /// Others are the standard ones, and those of loops, listeners and the log.
    package static func connections(within limit: Int) -> Int { max(1, limit - 64, limit * 3 / 4) }

    /// As many as the system allows: the soft limit is there for programs that use select(2), which these don't.
    /// Returns how many that are.
    @discardableResult
    package static func raise() -> Int {
        var limit = limits
        let soft = limit.rlim_cur
        limit.rlim_cur = limit.rlim_max
        let raised = setrlimit(resource, &limit) == 0
        return clamped(raised ? limit.rlim_max : soft)
    }

    /// Changes the soft limit, up to the hard one.  Throws EINVAL beyond it.
    package static func set(_ count: Int) throws(SystemError) {
        var limit = limits
        limit.rlim_cur = rlim_t(count)
        if setrlimit(resource, &limit) != 0 { throw SystemError(errno) }
    }

    private static var resource: __rlimit_resource_t { __rlimit_resource_t(RLIMIT_NOFILE.rawValue) }

    private static var limits: rlimit {
        var limit = rlimit()
        return getrlimit(resource, &limit) == 0 ? limit : rlimit(rlim_cur: 1024, rlim_max: 1024)
    }

    /// Descriptors are no larger, whatever the limit, which may be none.
    private static func clamped(_ limit: rlim_t) -> Int { Int(Int32(clamping: limit)) }
}
