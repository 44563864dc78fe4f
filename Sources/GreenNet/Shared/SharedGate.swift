import Glibc

/// A lock in shared memory, for the few instructions in which a process reads or changes the state behind it.  Nothing waits under it, and the longest call made
/// under it is one that wakes another process.
///
/// Its word has the identity of the process that is inside.  Where that is killed there, the next one takes the lock over, and first undoes what was left half
/// done.  Uncontended, it makes no system call.
///
/// It is no robust pthread mutex: of OS threads that sleep for one, the kernel wakes one at the death of the holder, and where that is killed in turn before it
/// has run, the others sleep for ever.  Here they sleep for moments, and look again.
package struct SharedGate: Sendable {
    private let holder: SharedWord
    /// The OS thread inside, of that process.
    private let thread: SharedWord

    /// How many bytes it takes, at an address that is a multiple of 8.
    package static let bytes = 16

    /// That which lies at `address`.  It is free where all its bytes are zero.
    package init(at address: UnsafeMutableRawPointer) {
        holder = SharedWord(address)
        thread = holder[1]
    }

    /// Reads from /proc now what the first use of a gate in this process would read.
    package static func prepareProcess() { _ = ProcessIdentity.own }

    init(_ region: SharedRegion) { self.init(at: region.base + SharedRegion.gateOffset) }

    /// The number of the process inside, which may have ended; nil where there is none.
    package var holderProcess: Int32? {
        let process = ProcessIdentity(bits: holder.value)
        return process.bits == 0 ? nil : process.pid
    }

    /// Runs `body` alone.  `repair` runs before it where the last process was killed here; where this one is killed in `repair`, the next repeats it.
    @inline(__always)
    package func locked<Value, Failure>(
        repair: () -> Void, _ body: () throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let own = ProcessIdentity.own.bits
        if !holder.exchange(0, for: own) { enterSlowly(own, repair) }
        thread.value = SharedGate.caller
        defer { leave() }
        return try body()
    }

    /// As `locked`; nil where a living process is inside for longer than a moment.
    package func lockedIfFree<Value>(repair: () -> Void, _ body: () -> Value) -> Value? {
        let own = ProcessIdentity.own.bits
        if !enterSoon(own) {
            guard takeOver(own) else { return nil }
            repair()
        }
        thread.value = SharedGate.caller
        defer { leave() }
        return body()
    }

    @inline(__always)
    private func leave() {
        thread.value = 0
        holder.value = 0
    }

    private static var caller: UInt64 {
        @inline(__always) get { UInt64(UInt(pthread_self())) }
    }

    /// What is done under the gate takes less than the kernel's way to put an OS thread to sleep and wake it.
    private static let spins = 200
    /// One that was woken by a ring comes while the process that rings is still inside, and may have taken its processor.
    private static let yields = 20
    private static let (shortestSleep, longestSleep, lookInterval) = (
        Duration.microseconds(20), Duration.milliseconds(1), Duration.milliseconds(2)
    )

    @inline(never)
    private func enterSlowly(_ own: UInt64, _ repair: () -> Void) {
        require(
            holder.value != own || thread.value != SharedGate.caller,
            "an object between processes is used by the closure that changes it")
        if enterSoon(own) { return }
        var (sleep, slept) = (SharedGate.shortestSleep, Duration.zero)
        while !holder.exchange(0, for: own) {
            SystemCalls.sleep(sleep)
            slept += sleep
            sleep = min(sleep * 2, SharedGate.longestSleep)
            guard slept >= SharedGate.lookInterval else { continue }
            slept = .zero
            if takeOver(own) { return repair() }
        }
    }

    /// Without sleeping.
    private func enterSoon(_ own: UInt64) -> Bool {
        for _ in 0..<SharedGate.spins where holder.value == 0 && holder.exchange(0, for: own) { return true }
        for _ in 0..<SharedGate.yields {
            sched_yield()
            if holder.value == 0, holder.exchange(0, for: own) { return true }
        }
        return false
    }

    /// Returns whether the process inside was dead, and this one is inside now.
    private func takeOver(_ own: UInt64) -> Bool {
        let process = ProcessIdentity(bits: holder.value)
        guard process.bits != 0, !process.isAlive, holder.exchange(process.bits, for: own) else { return false }
        // What the dead one has left here may be the number of another OS thread of this process.
        thread.value = SharedGate.caller
        return true
    }
}
