internal import CSwitch

/// The sanitizer that this was built with.  Tests scale themselves by it.
package enum Sanitizer {
    case none, address, thread

    package static var active: Sanitizer {
        switch green_sanitizer() {
        case 1: .address
        case 2: .thread
        default: .none
        }
    }

    /// Runs `body`, which has locked the mutex of `owner`, where ThreadSanitizer sees that it has.
    package static func locked<Result>(_ owner: AnyObject, _ body: () -> Result) -> Result {
        let lock = Unmanaged.passUnretained(owner).toOpaque()
        green_sanitizer_locked(lock)
        defer { green_sanitizer_unlocking(lock) }
        return body()
    }
}
