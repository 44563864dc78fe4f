import Glibc
import GreenNet

/// Prints what each of the scheduler's steps costs, in nanoseconds of processor time, a line each: `name TAB nanoseconds`.
///
/// `../micro.go` and `../micro.py` measure their counterparts under the same names.  The first argument is how many seconds each takes.
/// With a second one, only those run whose names contain it: for a profiler.
@main
enum MicroBenchmarks {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        let length = Duration.seconds(Double(arguments.first ?? "") ?? 0.1)
        let wanted = arguments.dropFirst().first ?? ""
        for (name, body) in all where wanted.isEmpty || name.contains(wanted) {
            print("\(name)\t\(nanoseconds(lasting: length, body))")
        }
    }

    /// Each does its step as often as it is told.
    private static let all: [(name: String, body: @Sendable (Int) -> Void)] = [
        ("bare switch", switchBarely),
        ("yield, 2 threads", { yield($0, among: 2) }),
        ("yield, 1000 threads", { yield($0, among: 1000) }),
        ("spawn, run, join", spawnOneByOne),
        ("spawn 100, run, join", spawnByHundreds),
        ("time limit set and lifted", limitTime),
        ("event hand-over", { passEvents($0, until: { .never }) }),
        ("event hand-over with deadline", { passEvents($0, until: { .now + .seconds(10) }) }),
        ("queue hand-over", passThroughQueue),
        ("call on another OS thread", offloadOneByOne),
        ("bare hand-over to an OS thread and back", passBarely),
        ("uppercase of 64 KiB", uppercaseBlock),
        ("copy of 64 KiB", copyBlock),
    ]
}

/// For each of the steps that `body` does, when it does so many that they take `length`.  What came before has warmed it up.
private func nanoseconds(lasting length: Duration, _ body: (Int) -> Void) -> Double {
    var count = 1000
    while true {
        let start = usedTime()
        body(count)
        let took = usedTime() - start
        if took >= length { return took / .nanoseconds(count) }
        count *= 2
    }
}

/// The processor time of this process: nothing here sleeps, and others who run meanwhile don't count.
private func usedTime() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}
