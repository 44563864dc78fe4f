internal import CSwitch

/// Address space for stacks.
enum StackMemory {
    static func map(_ bytes: Int) throws(SystemError) -> UnsafeMutableRawPointer {
        var low: UnsafeMutableRawPointer?
        let number = green_stacks_map(bytes, &low)
        guard let low else { throw SystemError(number) }
        return low
    }

    static func unmap(_ low: UnsafeMutableRawPointer, _ bytes: Int) { green_stacks_unmap(low, bytes) }
    static func discard(_ low: UnsafeMutableRawPointer, _ bytes: Int) { green_stack_discard(low, bytes) }

    /// How guards are made; what the kernel has, unless a test wants the other way.
    enum Guard: UInt32 {
        case best, madvise, mprotect
    }

    static func installGuard(_ low: UnsafeMutableRawPointer, _ bytes: Int, _ kind: Guard) throws(SystemError) {
        let number = green_guard_install(low, bytes, green_guard_kind(rawValue: kind.rawValue))
        if number != 0 { throw SystemError(number) }
    }

    static func removeGuards(_ low: UnsafeMutableRawPointer, _ bytes: Int, _ kind: Guard) throws(SystemError) {
        let number = green_guard_remove(low, bytes, green_guard_kind(rawValue: kind.rawValue))
        if number != 0 { throw SystemError(number) }
    }

    /// What one page of the kernel's page tables covers.
    static var blockBytes: Int { Int(GREEN_BLOCK_BYTES) }
}
