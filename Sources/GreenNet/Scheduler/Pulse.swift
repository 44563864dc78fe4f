import Synchronization

/// By which another OS thread sees whether a hub's green threads give way.  The hub pays one store for each look at its loop.
final class Pulse: Sendable {
    private let beats = Atomic<UInt64>(0)

    /// Odd while green threads run, even while the hub sleeps in its loop; another number at each look at it.  From any OS thread.
    var count: UInt64 { beats.load(ordering: .relaxed) }

    // MARK: On the hub's OS thread

    func run() { beats.store((count + 1) | 1, ordering: .relaxed) }
    func sleep() { beats.store((count | 1) + 1, ordering: .relaxed) }
}

/// A watcher on another OS thread.
struct Watch {
    let pulse: Pulse
    /// Waits until the watcher has ended.
    let stop: () -> Void
}

extension Scheduler {
    /// The green thread that calls runs, and may not give way from here on.
    func begin(_ watch: Watch) {
        watch.pulse.run()
        fields.pointee.watch = watch
    }

    func endWatch() {
        fields.pointee.watch?.stop()
        fields.pointee.watch = nil
    }
}
