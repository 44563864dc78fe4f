internal import CSwitch

/// The sanitizer that this build uses.  Tests scale their durations and counts by it.
@usableFromInline
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

    /// As `locked`, in two halves, for code that is compiled into programs.
    @usableFromInline
    static func noteLock(of owner: AnyObject) {
        green_sanitizer_locked(Unmanaged.passUnretained(owner).toOpaque())
    }

    @usableFromInline
    static func noteUnlock(of owner: AnyObject) {
        green_sanitizer_unlocking(Unmanaged.passUnretained(owner).toOpaque())
    }
}
