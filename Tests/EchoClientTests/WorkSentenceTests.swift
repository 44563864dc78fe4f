import Testing

@testable import EchoClient

struct WorkSentenceTests {
    private func sentence(_ way: Way, _ times: WorkTimes, than base: WorkTimes) -> String {
        WorkSentence(way: way, times: times, base: base, tasks: 10).text
    }

    private static func times(
        _ wall: Double, _ processor: Double, overlap: Double = 1, queued: Double = 0
    ) -> WorkTimes { WorkTimes(wall: wall, processor: processor, overlap: overlap, queued: queued) }

    private let computing = times(1, 0.99)
    private let waiting = times(1, 0.02)

    @Test func `one thread either computes or waits`() {
        #expect(sentence(.oneThread, computing, than: computing).contains("99 % of one"))
        #expect(sentence(.oneThread, waiting, than: waiting).contains("2 % of a processor"))
    }

    @Test func `a thread that others kept from computing did not wait for anything else`() {
        let crowded = WorkSentenceTests.times(2, 1, queued: 1)
        let text = sentence(.oneThread, crowded, than: crowded)
        #expect(text.contains("work for one processor all the time"))
        #expect(text.contains("1.00 s it waited for one"))
    }

    @Test func `computing is faster where more processors are at work`() {
        let text = sentence(.threads, WorkSentenceTests.times(0.5, 1, overlap: 9.7), than: computing)
        #expect(text.contains("9.7 of 10 tasks were under way at once, on 2.00 processors"))
        #expect(text.contains("several processors computed at the same time"))
    }

    @Test func `computing on green threads is as fast as on one thread`() {
        let text = sentence(.greenThreads, WorkSentenceTests.times(1.01, 1), than: computing)
        #expect(text.contains("each computed to its end before the next began"))
    }

    @Test func `waits at the same time gain, waits that block the OS thread do not`() {
        let together = sentence(.greenThreads, WorkSentenceTests.times(0.1, 0.02, overlap: 9.9), than: waiting)
        #expect(together.contains("they waited at the same time"))
        let blocked = sentence(.greenThreads, WorkSentenceTests.times(1.05, 0.02), than: waiting)
        #expect(blocked.contains("each blocked the one OS thread"))
    }

    @Test func `processor time beyond that of one thread is reported`() {
        let text = sentence(.processes, WorkSentenceTests.times(0.1, 0.08, overlap: 9), than: waiting)
        #expect(text.contains("for 60 ms more processor time in all"))
    }

    @Test func `slower is never explained as a gain`() {
        for base in [computing, waiting] {
            for overlap in [1, 9.0] {
                let text = sentence(
                    .processes, WorkSentenceTests.times(2, 1, overlap: overlap, queued: 0.9), than: base)
                #expect(text.contains("in each other's way") || text.contains("one after the other"))
                #expect(text.contains("waited 900 ms for a processor"))
            }
        }
    }
}
