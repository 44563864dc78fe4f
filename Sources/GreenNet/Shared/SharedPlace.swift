/// The memory of an object for which processes wait: a gate, a journal, lines of waits, and the object's own words behind them.
final class SharedPlace: Sendable {
    let region: SharedRegion
    private let gate: SharedGate
    let journal: SharedJournal
    let lines: [SharedLine]
    let body: SharedWord

    /// `bytes` says how many the object's own words take.
    init(_ content: SharedRegion.Content, lines: Int, bytes: Int) throws(SharedMemoryError) {
        region = try SharedRegion(content, bytes: SharedPlace.bytes(lines) + bytes)
        (gate, journal, self.lines, body) = SharedPlace.parts(region, lines)
        Bell.prepareToRing()
    }

    init(
        joining descriptor: Int32, _ kind: SharedRegion.Content.Kind, lines: Int,
        bytes: (SharedRegion.Content) -> Int
    ) throws(SharedMemoryError) {
        region = try SharedRegion(joining: descriptor, kind) { SharedPlace.bytes(lines) + bytes($0) }
        (gate, journal, self.lines, body) = SharedPlace.parts(region, lines)
        Bell.prepareToRing()
    }

    private static func bytes(_ lines: Int) -> Int { SharedJournal.bytes + lines * SharedLine.bytes }

    private static func parts(
        _ region: SharedRegion, _ count: Int
    ) -> (SharedGate, SharedJournal, [SharedLine], SharedWord) {
        let start = region.base + SharedRegion.bodyOffset
        let lines = (0..<count).map { SharedLine(at: start + SharedJournal.bytes + $0 * SharedLine.bytes) }
        return (SharedGate(region), SharedJournal(at: start), lines, SharedWord(start + bytes(count)))
    }

    @inline(__always)
    func locked<Value>(_ body: () -> Value) -> Value {
        gate.locked(repair: { () -> Void in repair() }) { () -> Value in Sanitizer.locked(self, body) }
    }

    private func repair() {
        journal.undo()
        for line in lines { line.repair() }
    }

    // MARK: Waiting

    /// What a look at the state has given.
    enum Look<Value> {
        case done(Value)
        case wait
    }

    /// Waits in `line` until `look`, which runs under the gate, is done, or until `deadline`.
    ///
    /// `look` is called again after each ring.  `settle` is for what no process rings for, the death of another: it is called without the gate after 10 ms, 20 ms
    /// and so on, and each second, and `look` after it.  What `look` finds counts, even where a kill or the deadline has come too.
    func wait<Value>(
        in line: SharedLine, until deadline: Deadline, settle: () -> Void = {}, _ look: () -> Look<Value>
    ) throws(WaitError) -> Value {
        try Context.running?.throwIfInterrupted()
        let sleeper = Sleeper.here()
        defer { sleeper.end() }
        var place: SharedLine.Place?
        if let value = locked({ lookOnce(line, &place, sleeper, isOver: false, look) }) { return value }
        var pause = BackOff()
        var pauseEnd = sleeper.end(of: pause.next())
        while true {
            var error = sleeper.sleep(place, until: min(deadline, pauseEnd))
            if error == .deadlinePassed, !deadline.hasPassed {
                error = nil
                settle()
                forgetDead(in: line)
                pauseEnd = sleeper.end(of: place == nil ? BackOff.shortest : pause.next())
            }
            let found = locked { lookOnce(line, &place, sleeper, isOver: error != nil, look) }
            if let found { return found }
            if let error { throw error }
        }
    }

    /// Under the gate.  Nil where there is nothing yet: the caller has its place in the line then, unless the wait is over.
    private func lookOnce<Value>(
        _ line: SharedLine, _ place: inout SharedLine.Place?, _ sleeper: Sleeper, isOver: Bool,
        _ look: () -> Look<Value>
    ) -> Value? {
        var value: Value?
        if case .done(let found) = look() { value = found }
        if value != nil || isOver {
            if let place { line.leave(place) }
        } else if place.map({ !line.waitAgain($0) }) ?? true {
            place = line.enter(bell: sleeper.bell)
        }
        return value
    }

    private func forgetDead(in line: SharedLine) {
        let dead = line.dead
        if !dead.isEmpty { locked { line.forget(dead) } }
    }
}
