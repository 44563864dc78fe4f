internal import CSwitch

/// The sanitizer that this build uses.  Tests scale their durations and counts by it.
package enum Sanitizer {
    case none, address, thread

    package static var active: Sanitizer {
        switch green_sanitizer() {
        case 1: .address
        case 2: .thread
        default: .none
        }
    }

    /// Runs `body`, whose caller has locked the mutex of `owner`, so that ThreadSanitizer sees the lock.
    package static func locked<Result>(_ owner: AnyObject, _ body: () -> Result) -> Result {
        let lock = Unmanaged.passUnretained(owner).toOpaque()
        green_sanitizer_locked(lock)
        defer { green_sanitizer_unlocking(lock) }
        return body()
    }
}
