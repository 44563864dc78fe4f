import Glibc

/// The green thread that waits for another process, or the OS thread where it has no hub.
struct Sleeper {
    private enum Kind {
        case greenThread(GreenThread, HubBell?)
        case osThread(Bell?)
    }

    private let kind: Kind

    /// The caller, whose `end()` follows.
    static func here() -> Sleeper {
        guard let thread = Context.running else { return Sleeper(kind: .osThread(IdleBells.take())) }
        return Sleeper(kind: .greenThread(thread, HubBell.of(thread.scheduler)))
    }

    func end() { if case .osThread(let bell?) = kind { IdleBells.giveBack(bell) } }

    /// For shared memory.
    var bell: UInt64 {
        switch kind {
        case .greenThread(_, let bell): bell?.number ?? Bell.none
        case .osThread(let bell): bell.map { UInt64($0.number) } ?? Bell.none
        }
    }

    /// When to look for dead processes after `pause`: often where no ring can come.  Never on virtual time, which no other process shares: it would
    /// jump from one look to the next.
    func end(of pause: Duration) -> Deadline {
        if ThreadClock.virtualTime != 0 { return .never }
        return .after(bell == Bell.none ? BackOff.shortest : pause)
    }

    /// Returns nil after a ring for `place`, and perhaps after another one; `.deadlinePassed` at `moment`.
    func sleep(_ place: SharedLine.Place?, until moment: Deadline) -> WaitError? {
        switch kind {
        case .greenThread(let thread, let bell):
            guard let place, let bell else {
                return thread.error(after: thread.wait(for: .remote, until: moment))
            }
            return thread.error(after: bell.park(thread, place.word, place.waiting, until: moment))
        case .osThread(let bell):
            return Sleeper.block(bell, place, until: moment)
        }
    }

    private static func block(_ bell: Bell?, _ place: SharedLine.Place?, until moment: Deadline) -> WaitError? {
        while place == nil || place!.word.value == place!.waiting {
            let left = moment == .never ? Int64(60_000) : max(0, ((moment - .now).nanoseconds + 999_999) / 1_000_000)
            var question = pollfd(fd: bell?.descriptor ?? -1, events: Int16(POLLIN), revents: 0)
            if poll(&question, 1, Int32(clamping: left)) > 0 { bell?.drain() }
            if moment.hasPassed { return .deadlinePassed }
        }
        return nil
    }
}
