extension Hub {
    /// Makes the hub of this OS thread, with a virtual clock: for tests.
    ///
    /// Time on it passes only while all its green threads wait, and then jumps to the next deadline, so that hours take microseconds.  `Deadline.now` is that
    /// time, on this OS thread, until the hub closes.  With a `seed`, the green thread that runs next is drawn from those that are ready; the same seed
    /// gives the same run.  Descriptors and other OS threads are as real as ever, and time does not wait for them: whatever
    /// they bring must be there when all wait.  To be called before any other call has made a hub here.
    public static func startVirtual(seed: UInt64? = nil) {
        require(Context.running == nil, "Hub.startVirtual() on an OS thread that has a hub")
        current.scheduler.startVirtualTime(seed.map { SplitMix(seed: $0) })
    }
}
