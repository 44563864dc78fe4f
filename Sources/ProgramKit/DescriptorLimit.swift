import Glibc

package enum DescriptorLimit {
    /// As many as the system allows: the soft limit is there for programs that use select(2), which this one doesn't.
    /// Returns how many that are.
    package static func raise() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        let soft = limit.rlim_cur
        limit.rlim_cur = limit.rlim_max
        let raised = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
        // Their numbers are no larger, whatever the limit, which may be none.
        return Int(Int32(clamping: raised ? limit.rlim_max : soft))
    }
}
