import Testing

@testable import GreenNet

struct TaskTimersTests {
    /// A job that is told apart, and never run.
    private func job(_ number: Int) -> TaskJob {
        TaskJob(job: unsafeBitCast(number, to: UnownedJob.self), isSerial: false)
    }

    private func number(_ job: TaskJob) -> Int { unsafeBitCast(job.job, to: Int.self) }

    @Test func `jobs come out in the order of their moments, those of one moment as they came`() {
        var timers = TaskTimers()
        var random = SplitMix(seed: 7)
        let moments = (0..<1000).map { _ in Int64.random(in: 0..<100, using: &random) }
        for (index, moment) in moments.enumerated() {
            timers.insert(job(index + 1), due: Deadline(nanoseconds: moment))
        }
        #expect(timers.count == 1000)
        var order: [Int] = []
        while let (next, due) = timers.popFirst(until: .never) {
            order.append(number(next) - 1)
            #expect(due.nanoseconds == moments[order.last!])
        }
        #expect(order == (0..<1000).sorted { (moments[$0], $0) < (moments[$1], $1) })
        #expect(timers.count == 0 && timers.earliest == nil)
    }

    @Test func `a job that is due later stays`() {
        var timers = TaskTimers()
        #expect(timers.popFirst(until: .never) == nil)
        timers.insert(job(1), due: Deadline(nanoseconds: 20))
        timers.insert(job(2), due: Deadline(nanoseconds: 10))
        #expect(timers.earliest == Deadline(nanoseconds: 10))
        #expect(timers.popFirst(until: Deadline(nanoseconds: 9)) == nil)
        #expect(timers.popFirst(until: Deadline(nanoseconds: 10)).map { number($0.job) } == 2)
        #expect(timers.popFirst(until: Deadline(nanoseconds: 19)) == nil)
        #expect(timers.earliest == Deadline(nanoseconds: 20))
    }
}
