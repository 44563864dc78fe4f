/// Waiting for nothing in particular, on a hub or off it.
enum Pause {
    static func wait(for length: Duration) throws(WaitError) {
        if Context.running != nil { return try Greenlet.sleep(for: length) }
        SystemCalls.sleep(length)
    }

    /// Lets the others run first, where there are any.
    static func giveWay(after operations: Int = 1) throws(WaitError) {
        guard let thread = Context.running else { return }
        thread.giveWay(after: operations)
        try thread.throwIfInterrupted()
    }
}
