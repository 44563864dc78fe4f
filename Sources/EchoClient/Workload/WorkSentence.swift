import ProgramKit

/// Why a way of doing the tasks came out as it did, in a sentence made of what was measured.
struct WorkSentence {
    let way: Way
    let times: WorkTimes
    /// Of one thread.
    let base: WorkTimes
    let tasks: Int

    /// Less is no difference.
    private static let noise = 0.15
    /// A thread that uses its processor for more than this much of the time is busy.
    private static let busy = 0.75

    private var speedup: Double { base.wall / times.wall }
    private var isFaster: Bool { speedup > 1 + WorkSentence.noise }
    private var isSlower: Bool { speedup < 1 / (1 + WorkSentence.noise) }
    /// Alone, a task mostly computes; or else it mostly waits.
    private var isComputing: Bool { base.processor > WorkSentence.busy * (base.wall - base.queued) }
    /// No two of them were under way at the same time.
    private var isOneAfterTheOther: Bool { times.overlap <= 1 + WorkSentence.noise }
    /// Other programs had the processors for a good part of the time that one thread took.
    private var isCrowded: Bool { base.queued > WorkSentence.noise * base.wall }

    var text: String { way == .oneThread ? baseText : "\(circumstances): \(verdict)." }

    private var baseText: String {
        let share = (100 * base.processors).fixed(0)
        let others = isCrowded ? " (\(shortTime(base.queued * 1e9)) it waited for one, which other programs had)" : ""
        return isComputing
            ? "One task after the other, with work for one processor all the time and \(share) % of one to do it\(others)."
            : "One task after the other, on \(share) % of a processor\(others): the rest was waiting, which others could have used."
    }

    /// As in `On average 9.8 of 10 tasks were under way at once, on 1.9 processors`.
    private var circumstances: String {
        """
        On average \(times.overlap.fixed(1)) of \(tasks) tasks were under way at once, on \(times.processors.fixed(2)) \
        \(times.processors.fixed(2) == "1.00" ? "processor" : "processors")
        """
    }

    private var verdict: String {
        if isFaster { return isComputing ? fasterComputing : fasterWaiting }
        return (isSlower ? slower : equal) + extraCost
    }

    private var fasterComputing: String {
        times.processors > 1 + WorkSentence.noise
            ? "several processors computed at the same time" + extraCost
            : isCrowded
                ? "\(isOneAfterTheOther ? "this time" : "together") they got more of the processors, which other programs use too"
                : "the same computing took less time, so the machine was busier during the other run"
    }

    private var fasterWaiting: String {
        !isOneAfterTheOther
            ? "they waited at the same time, not one after the other" + extraCost
            : "the waits themselves were shorter this time, though they came one after the other"
    }

    private var equal: String {
        if isOneAfterTheOther {
            return isComputing
                ? "each computed to its end before the next began, which gains nothing and costs nothing"
                : "each blocked the one OS thread while it waited, so the waits came one after the other all the same"
        }
        return isComputing
            ? isCrowded
                ? "they shared what other programs left of the processors"
                : "they shared the processor that one task alone could fill"
            : "what they waited for served them one after the other, so that waiting together gained nothing"
    }

    private var slower: String {
        let queue =
            times.queued > WorkSentence.noise * times.wall && times.queued > base.queued
            ? ", and waited \(shortTime(times.queued * 1e9)) for a processor" : ""
        return isOneAfterTheOther
            ? "they came one after the other, as on one thread\(queue)"
            : "they were in each other's way\(queue)"
    }

    /// Processor time beyond that of one thread, where it is worth mentioning.
    private var extraCost: String {
        let extra = times.processor - base.processor
        guard extra > WorkSentence.noise * base.processor, extra > 0.01 else { return "" }
        return ", for \((extra * 1000).fixed(0)) ms more processor time in all"
    }
}
