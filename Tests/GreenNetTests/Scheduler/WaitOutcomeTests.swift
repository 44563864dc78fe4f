import Glibc
import TestSupport
import Testing

@testable import GreenNet

struct WaitOutcomeTests {
    private static let limit = TimeLimit(number: 1, duration: .seconds(1))

    @Test(
        arguments: [
            WaitError.deadlinePassed, WaitError.timedOut(limit), TimedOut(limit: limit),
            NetError(.recv, .wait(.deadlinePassed), nil), NetError(.recv, .wait(.timedOut(limit)), nil),
        ] as [any Error])
    func `an error of a wait whose time ran out is a timeout, and nothing else`(error: any Error) {
        #expect(error.isTimeout)
        #expect(!error.isCancellation && !error.isClosed)
    }

    @Test(
        arguments: [
            WaitError.cancelled, GreenletExit(), NetError(.send, .wait(.cancelled), nil),
        ] as [any Error])
    func `an error of a killed green thread is a cancellation, and nothing else`(error: any Error) {
        #expect(error.isCancellation)
        #expect(!error.isTimeout && !error.isClosed)
    }

    @Test(arguments: [WaitError.closed, NetError(.accept, .wait(.closed), nil)] as [any Error])
    func `an error of a wait on a closed object is closed, and nothing else`(error: any Error) {
        #expect(error.isClosed)
        #expect(!error.isTimeout && !error.isCancellation)
    }

    @Test(
        arguments: [
            Failure(1), FiberError.busy, SystemError(ETIMEDOUT), NetError(.recv, .system(SystemError(EIO)), nil),
            WaitError.blockedForever(BlockedForever(waiting: "")),
        ] as [any Error])
    func `other errors are none of the three`(error: any Error) {
        #expect(!error.isTimeout && !error.isCancellation && !error.isClosed)
    }

    @Test func `an error of a wait says in words why it ended`() {
        let errors: [(WaitError, String)] = [
            (.deadlinePassed, "deadline passed"), (.timedOut(WaitOutcomeTests.limit), "timed out after 1 second"),
            (.cancelled, "cancelled"), (.closed, "closed"), (.resting, "resting"),
            (
                .blockedForever(BlockedForever(waiting: "green thread 2 (a) sleeps")),
                "blocked forever: nothing is left that could wake any of these:\ngreen thread 2 (a) sleeps"
            ),
            (
                .deadlock(LockCycle(greenThreads: ["a", "b"])),
                "deadlock: a waits for a lock of b, which waits for a lock of the first"
            ),
        ]
        for (error, words) in errors { #expect("\(error)" == words) }
    }

    @Test func `a catch block can ask without naming a type`() throws {
        try onHub {
            var outcomes: [String] = []
            func note(_ body: () throws -> Void) {
                do { try body() } catch  where error.isTimeout { outcomes.append("late") } catch
                    where error.isCancellation
                { outcomes.append("killed") } catch { outcomes.append("\(error)") }
            }
            note { try withTimeout(.zero) { try Greenlet.sleep(until: .never) } }
            note { _ = try GreenResult<Int>().value(until: .now) }
            let killed = spawn { note { try Greenlet.sleep(until: .never) } }
            try Greenlet.yield()
            killed.kill()
            try killed.join()
            note { throw Failure(3) }
            #expect(outcomes == ["late", "late", "killed", "Failure(3)"])
        }
    }
}
