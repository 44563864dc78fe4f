import Glibc
import GreenNet

/// Prints the cost of each of the scheduler's steps in nanoseconds of processor time, a line for each step: `name TAB nanoseconds`.
///
/// With `--lateness` it prints by how much sleeps of several lengths are late instead, in microseconds, the median of 201.
/// `../micro.go`, `../tokio` and `../micro.py` measure their counterparts under the same names.  The first argument is the processor time of one measurement, in
/// seconds.  With a second argument, only the steps run whose names contain it: for a profiler.
@main
enum MicroBenchmarks {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        if arguments.first == "--lateness" { return printLateness() }
        let length = Duration.seconds(Double(arguments.first ?? "") ?? 0.1)
        let wanted = arguments.dropFirst().first ?? ""
        for (name, body) in all where wanted.isEmpty || name.contains(wanted) {
            print("\(name)\t\(nanoseconds(lasting: length, body))")
        }
    }

    /// Each body repeats its step by the count that it is given.
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
        ("generator, next", takeFromGenerator),
        ("generator, send", sendToGenerator),
        ("fiber, there and back", switchFibers),
        ("queue, put and take", putAndTake),
        ("channel hand-over", passThroughChannel),
        ("result set and read", setResult),
        ("local read", readLocal),
        ("local written", writeLocal),
        ("resource lent", lendResource),
        ("lock", lock),
        ("permit", takePermit),
        ("shielded", shield),
        ("spawn, value", spawnForValue),
        ("group of one", groupOfOne),
        ("gather of two", gatherTwo),
        ("map in a pool, an item", mapInPool),
        ("wait for one of two", waitForOneOfTwo),
        ("remote channel, put and take", putAndTakeRemotely),
        ("remote result set and read", setRemoteResult),
        ("remote lock", lockRemotely),
        ("awaiting, not suspended", awaitAtOnce),
        ("awaiting, Task.yield", awaitSuspended),
        ("awaiting, suspended once", awaitAnswer),
        ("Task.detached and RemoteResult", awaitDetached),
        ("task of the hub, value", runTask),
        ("tasks of the hub, Task.yield", yieldAmongTasks),
        ("call of a task on this hub", runForTask),
        ("call on another OS thread", offloadOneByOne),
        ("bare hand-over to an OS thread and back", passBarely),
        ("uppercase of 64 KiB", uppercaseBlock),
        ("copy of 64 KiB", copyBlock),
    ]
}

/// Nanoseconds for a step, measured over the first count of steps that takes `length`.  The smaller counts before it are the warm-up.
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

/// The processor time of this process: no step sleeps, and other processes that run meanwhile don't count.
private func usedTime() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}
