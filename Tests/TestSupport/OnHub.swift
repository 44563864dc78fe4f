import GreenNet
import Testing

/// Runs `body` on an OS thread of its own, which has a fresh hub; returns or throws as `body` does.
///
/// Afterwards it closes the hub and records an issue for anything left behind: green threads that live on, descriptors opened and
/// not closed, OS threads started and not ended.  A green thread that failed unobserved is an issue too.
///
/// After `limit` it records the green threads of the stuck hub as an issue and throws `Stuck`, so that a hang is a failed test.
@discardableResult
package func onHub<R: Sendable>(
    _ limit: Duration = .seconds(60),
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: @escaping @Sendable () throws -> R
) throws -> R {
    let watched = WatchedHub()
    return try onOSThread(limit, whenStuck: watched.dump, sourceLocation: sourceLocation) {
        watched.remote = Hub.current.remote.weakly()
        Hub.current.onUnobservedFailure = { failure in
            Issue.record("\(failure), and no test asked", sourceLocation: sourceLocation)
        }
        defer { Hub.current.close() }
        let result = try body()
        expectNoGreenThreads(sourceLocation)
        return result
    }
}

/// As `onHub`, for tests of the hub's beginning and end: it neither makes nor closes a hub, but records too what the OS thread
/// leaves behind when it ends.
@discardableResult
package func onOSThread<R: Sendable>(
    _ limit: Duration = .seconds(60),
    whenStuck dump: @escaping @Sendable () -> String = { "" },
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: @escaping @Sendable () throws -> R
) throws -> R {
    let before = LeakCheck.now()
    let thread = TestThread { try body() }
    guard let result = thread.result(within: limit * Sanitizer.slowness) else {
        Issue.record("stuck for \(limit)\n\(dump())", sourceLocation: sourceLocation)
        throw Stuck()
    }
    LeakCheck.expectNoMore(than: before, sourceLocation)
    return try result.get()
}

/// The test ran into its time limit.  The stuck green threads have been recorded already.
package struct Stuck: Error {
    package init() {}
}

/// Green threads that are about to end, as after a kill, may do so first.
func expectNoGreenThreads(_ sourceLocation: SourceLocation) {
    do throws(WaitError) {
        try Hub.current.run(until: .after(.seconds(2)))
    } catch {
        Issue.record("the test left green threads behind:\n\(Hub.current.description)", sourceLocation: sourceLocation)
    }
}

/// Holds the remote handle weakly: a hub whose handle is held elsewhere never reports that it is blocked forever.
private final class WatchedHub: @unchecked Sendable {
    // Written once, before any read; reading a weak reference is thread-safe.
    var remote: (@Sendable () -> RemoteHub?)?

    /// Called on another OS thread.
    @Sendable
    func dump() -> String {
        let answer = Handoff<String>()
        remote?()?.spawn(name: "watchdog") { answer.give(Hub.current.description) }
        return answer.take(within: .seconds(2)) ?? "The hub doesn't answer: its OS thread is blocked or busy."
    }
}
