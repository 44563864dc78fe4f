import Glibc
import GreenNet
import ProgramKit

/// The line that moves at a terminal: a bar, the rate, failures, the time left.  In a pipe there is none.
struct LoadProgress {
    private let plan: LoadPlan
    private var start: Deadline?
    private var last: (moment: Deadline, messages: Int)?

    static let isSeen = isatty(STDERR_FILENO) == 1

    init(_ plan: LoadPlan) { self.plan = plan }

    static func clear() { if isSeen { write("\r\u{1B}[K") } }

    mutating func show(_ progress: LoadFleet.Progress, isOpening: Bool) {
        let now = Deadline.now
        if isOpening {
            let share = Double(progress.opened) / Double(plan.connections)
            return show(share, "\(progress.opened.grouped) of \(plan.connections.grouped) connections open", progress)
        }
        let start = start ?? now
        self.start = start
        let rate = rate(progress.messages, now)
        let passed = (now - start).inSeconds
        let share = share(progress, passed)
        let left = share > 0 && share < 1 ? max(0, passed / share - passed) : 0
        show(share, "\(Int(rate).grouped) messages/s, \(left.fixed(0)) s left", progress)
    }

    private mutating func rate(_ messages: Int, _ now: Deadline) -> Double {
        defer { last = (now, messages) }
        guard let last, now > last.moment else { return 0 }
        return Double(messages - last.messages) / (now - last.moment).inSeconds
    }

    /// How much is done, by time or by messages, whichever is more.
    private func share(_ progress: LoadFleet.Progress, _ passed: Double) -> Double {
        let byTime = plan.duration.map { passed / $0.inSeconds } ?? 0
        let byCount = plan.messages.map { Double(progress.messages) / Double($0) } ?? 0
        return min(1, max(byTime, byCount))
    }

    private func show(_ share: Double, _ text: String, _ progress: LoadFleet.Progress) {
        let width = 24
        let done = min(width, Int(share * Double(width)))
        let bar = String(repeating: "#", count: done) + String(repeating: ".", count: width - done)
        let failures = progress.failures > 0 ? ", \(progress.failures.grouped) failures" : ""
        LoadProgress.write("\r[\(bar)] \(text)\(failures)\u{1B}[K")
    }

    private static func write(_ text: String) {
        var text = text
        // A terminal that is slow misses a line, and nothing waits for it.
        _ = text.withUTF8 { bytes in LossyOutput(STDERR_FILENO).write(UnsafeRawBufferPointer(bytes)) }
    }
}
